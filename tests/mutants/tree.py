"""The copy of the project that is mutated: `src/endocrine/agents` and so on, as imports name them."""

import filecmp
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDERS = ("agents", "config", "pipeline", "schemas")
BESIDE = ("config", "docs")
"""Folders that tests read by their place in the repository."""
TESTS = {
    "agents": ("policy", "engine", "names", "erasure"),
    "agents/_shared": ("redaction", "moderation", "gating", "memory", "names"),
    "agents/audit": ("audit", "explain"),
    "agents/bonds": ("bonds", "names"),
    "agents/capture": ("capture", "memory"),
    "agents/analytics": ("analytics", "erasure"),
    "agents/conflicts": ("memory", "names", "erasure"),
    "agents/evidence": ("linkage",),
    "agents/feedback": ("feedback", "names"),
    "agents/meeting": ("linkage", "erasure"),
    "agents/memory": ("memory", "names", "erasure"),
    "agents/moderation": ("moderation", "conversation"),
    "agents/names": ("names", "erasure"),
    "agents/reflection": ("memory", "names", "erasure"),
    "agents/trust": ("trust", "memory", "names"),
    "pipeline/core": ("engine", "runtime", "schemas", "auditchain", "deadletters", "names", "policy"),
}
"""Folders of tests/unit whose tests are run for a package; that of its own name for every other one.
The re-key of each agent, and that of all (agents/rekeying.py), is tested in tests/unit/names."""
_LEFT_OUT = ("tests/unit/redaction/test_canaries.py::test_a_log_line_shows_no_secret_and_a_fault_no_text",)
"""Tests of where an exception was raised: in the copy that is in mutmut's own function."""
_CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = [{packages}]
do_not_mutate = [{deeper}]
pytest_add_cli_args = ["--hypothesis-seed=0"{left_out}]
pytest_add_cli_args_test_selection = [{tests}]
also_copy = [{beside}]
track_dependencies = false
use_git_change_detection = false
on_dependency_change = "ignore"
"""
_PROFILE = """

# Of the copy alone: properties try fewer examples, and that one fails is enough, the smallest is not asked for.
from hypothesis import Phase, settings  # noqa: E402

_make = settings.__init__


def _quick(self, *given, **named):  # type: ignore[no-untyped-def]
    if "max_examples" in named:
        named["max_examples"] = min(named["max_examples"], EXAMPLES)
    _make(self, *given, **named)


settings.__init__ = _quick
settings.register_profile(
    "mutants",
    settings.get_profile("endocrine"),
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
settings.load_profile("mutants")
# mutmut 3.7 reads an attribute that pytest 9.2 has no more.
pytest.Item._nodeid = property(lambda item: item.nodeid)
"""
EXAMPLES = 10
"""Of a property, for each mutant: properties over whole histories take seconds with all of theirs."""


def packages(root: Path) -> list[str]:
    """Return every package that is mutated."""
    folders = [root / "agents", *sorted((root / "agents").iterdir()), root / "pipeline" / "core"]
    return [str(folder.relative_to(root)) for folder in folders if (folder / "__init__.py").exists()]


def tests_of(root: Path, asked: Sequence[str]) -> list[str]:
    """Return the folders of tests that are run for these packages."""
    names = dict.fromkeys(name for package in asked for name in TESTS.get(package, (Path(package).name,)))
    return [f"tests/unit/{name}" for name in names if (root / "tests" / "unit" / name).is_dir()]


def make(root: Path, work: Path, asked: Sequence[str]) -> None:
    """Bring the copy for these packages up to date. Unchanged files keep their times: mutmut keeps their mutants."""
    source = work / "src" / "endocrine"
    for folder in FOLDERS:
        _copy(root / folder, source / folder)
    for file in (root / "pipeline" / "public").iterdir():
        if file.is_file():
            _put(file.read_bytes(), source / file.name)
    tests = tests_of(root, asked)
    for folder in ("tests/data", "tests/support", *BESIDE, *tests):
        _copy(root / folder, work / folder)
    profile = _PROFILE.replace("EXAMPLES", str(EXAMPLES))
    _put(((root / "tests" / "conftest.py").read_text() + profile).encode(), work / "tests" / "conftest.py")
    # The package `agents` itself is its own modules; each folder in it is a package of its own.
    deeper = ["src/endocrine/agents/*/*"] if list(asked) == ["agents"] else []
    left_out = [f"--deselect={test}" for test in _LEFT_OUT]
    config = (
        _CONFIG.replace("{tests}", _listed(tests))
        .replace("{beside}", _listed(BESIDE))
        .replace("{packages}", _listed([f"src/endocrine/{package}/*" for package in asked]))
        .replace("{deeper}", _listed(deeper))
        .replace("{left_out}", "".join(f", {json.dumps(one)}" for one in left_out))
    )
    _put(((root / "pyproject.toml").read_text() + config).encode(), work / "pyproject.toml")
    if (mutated := work / "mutants").is_dir():
        # mutmut leaves alone what a run before copied there.
        for folder in (*BESIDE, "tests", "src/endocrine/config"):
            _copy(work / folder, mutated / folder)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(json.dumps, names))


def _copy(origin: Path, target: Path) -> None:
    wanted = {file.relative_to(origin): file for file in _files(origin)}
    for name in [file.relative_to(target) for file in _files(target)]:
        if name not in wanted:
            (target / name).unlink()
    for name, file in wanted.items():
        place = target / name
        if not place.exists() or not filecmp.cmp(file, place, shallow=False):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and "types" not in file.parts:
            yield file


def _put(content: bytes, place: Path) -> None:
    if not place.exists() or place.read_bytes() != content:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
