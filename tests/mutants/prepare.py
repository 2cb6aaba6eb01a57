"""Runs in the copy: makes the mutants, and runs the tests once to learn which of them reach which function.

These are the steps of mutmut's own command before it runs mutants; the lock file pins what is used here.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import mutmut
import mutmut.__main__ as steps

_SEEN = Path("mutants/seen.sha256")
_STATS = Path("mutants/mutmut-stats.json")


class Runner(steps.PytestRunner):
    """Leaves out tests that fail on the code as it is: in the copy, those that read the source of what is mutated."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a test that fails (called by pytest)."""
        if report.failed:
            self.left_out.add(report.nodeid)

    def execute_pytest(self, params: list[str], **more: Any) -> int:
        """Run pytest, and see its reports."""
        return super().execute_pytest(params, **more | {"plugins": [*more.get("plugins", ()), self]})

    def run_stats(self, *, tests: Iterable[str]) -> int:
        """Learn which tests reach what, to the end; return 0 where some fail too."""
        kept = self._pytest_add_cli_args
        self._pytest_add_cli_args = [*kept, "--maxfail=1000"]
        code = super().run_stats(tests=tests)
        self._pytest_add_cli_args = kept
        for reached in mutmut.tests_by_mangled_function_name.values():
            reached.difference_update(self.left_out)
        return 0 if code == 1 else code


def prepare(children: int) -> tuple[list[str], Runner]:
    """Return the names of all mutants, and what runs tests. Tests that fail on the code as it is are named.

    A file that did not change keeps its mutants; where none changed, what the tests reach is known, too.
    """
    Path("mutants").mkdir(exist_ok=True)
    if _SEEN.exists() and _SEEN.read_text() != _digest():
        _STATS.unlink(missing_ok=True)
    os.environ["MUTANT_UNDER_TEST"] = "mutant_generation"
    with steps.CatchOutput(spinner_title="making mutants"):
        steps.copy_src_dir()
        steps.copy_also_copy_files()
        steps.setup_source_paths()
        steps.create_mutants(children)
    print()
    runner = Runner()
    runner.prepare_main_test_run()
    steps.collect_or_load_stats(runner)
    _SEEN.write_text(_digest())
    for test in sorted(runner.left_out):
        print(f"left out, as it fails without a mutant: {test}")
    mutants, _ = steps.collect_source_file_mutation_data(mutant_names=())
    return [name for _, name, _ in mutants], runner


def forget_results() -> int:
    """Empty every cache of results, so that a mutant computes them; return how many caches there were.

    The run that learned which tests reach what has filled them with what the code gives without a mutant.
    """
    wrapped = type(functools.cache(len))
    modules = [module for module in sys.modules.values() if getattr(module, "__file__", None)]
    caches = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, wrapped)}
    ours = [one for one in caches.values() if str(one.__wrapped__.__code__.co_filename).startswith(os.getcwd())]
    for one in ours:
        one.cache_clear()
    return len(ours)


def bounded(function: str, seconds: float) -> Sequence[str]:
    """Return the tests of a function, the quickest first: so many as take `seconds` together, at least one."""
    durations = mutmut.duration_by_test
    left, kept = seconds, list[str]()
    for test in sorted(mutmut.tests_by_mangled_function_name.get(function, ()), key=lambda one: (durations[one], one)):
        if kept and durations[test] > left:
            break
        left -= durations[test]
        kept.append(test)
    return kept


def diff(name: str) -> str:
    """Return what a mutant changes."""
    return str(steps.get_diff_for_mutant(name))


def seconds_of(tests: Sequence[str]) -> float:
    """Return how long tests took together, unmutated."""
    return float(sum(mutmut.duration_by_test[test] for test in tests))


def _digest() -> str:
    files = sorted(file for folder in ("src", "tests", "config") for file in Path(folder).rglob("*") if file.is_file())
    whole = hashlib.sha256()
    for file in files:
        if "__pycache__" not in file.parts:
            whole.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()
