"""Runs in the copy: runs a sample of the mutants, each in a process that is forked with everything imported.

Now and then the tests of a mutant run with no mutant (a control). One that fails says that the score is wrong: a test
fails where it is run without others, or for want of time.
"""

import gc
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import report
import sample
from prepare import bounded, diff, forget_results, prepare, seconds_of

_CONTROL_EVERY = 20
_SHOWN_EVERY = 10


class Forks:
    """Tests in forked processes, so many at once."""

    def __init__(self, runner: object, children: int) -> None:
        self._runner, self._children = runner, children
        self._running: dict[int, str] = {}
        self.exit_codes: dict[str, int] = {}
        """By mutant, or by the name of a control; negative where a signal ended it."""

    def start(self, name: str, mutant: str, tests: Sequence[str]) -> None:
        """Start tests under a mutant, or under none (empty); waits where too many run."""
        while len(self._running) >= self._children:
            self._reap()
        pid = os.fork()
        if pid == 0:
            os._exit(self._in_child(mutant, tests))
        self._running[pid] = name

    def wait(self) -> None:
        """Wait for all that run."""
        while self._running:
            self._reap()

    def _reap(self) -> None:
        pid, status = os.wait()
        self.exit_codes[self._running.pop(pid)] = os.waitstatus_to_exitcode(status)

    def _in_child(self, mutant: str, tests: Sequence[str]) -> int:
        os.environ["MUTANT_UNDER_TEST"] = mutant
        seconds = seconds_of(tests)
        processor_s = math.ceil(5 + 4 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s + 1))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(30 + 10 * seconds))  # what waits for ever takes no processor time
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            return int(self._runner.run_tests(mutant_name=mutant, tests=tests))  # type: ignore[attr-defined]
        except BaseException:
            return 1


def main(size: int, seed: int, deadline: float, test_seconds: float, children: int) -> int:
    """Run the sample and print the score. deadline: Unix time after which no mutant is begun; 0: none.

    Returns 1 where a control failed.
    """
    names, runner = prepare(children)
    chosen = sample.choose(names, size, seed)
    print(f"{len(chosen)} of {len(names)} mutants, {children} at a time", flush=True)
    forks, states, begun = Forks(runner, children), dict[str, str](), time.monotonic()
    print(f"{forget_results()} caches of results emptied", flush=True)
    gc.collect()
    gc.freeze()
    for number, name in enumerate(chosen):
        if deadline and time.time() > deadline:
            break
        tests = bounded(sample.function_of(name), test_seconds)
        if not tests:
            states[name] = report.NO_TEST
            continue
        if number % _CONTROL_EVERY == 0:
            forks.start(f"control {name}", "", tests)
        forks.start(name, name, tests)
        if number % _SHOWN_EVERY == 0:
            alive = sum(code == 0 for one, code in forks.exit_codes.items() if not one.startswith("control"))
            print(f"{number} begun, {alive} survived, {time.monotonic() - begun:.0f} s", flush=True)
    forks.wait()
    controls = {one: code for one, code in forks.exit_codes.items() if one.startswith("control")}
    states |= {one: report.state_of(code) for one, code in forks.exit_codes.items() if one not in controls}
    return _shown(names, states, {one for one, code in controls.items() if code}, size, seed)


def _shown(names: Sequence[str], states: dict[str, str], failed: set[str], size: int, seed: int) -> int:
    how = f"sample of {size}, seed {seed}" if size else "every mutant"
    text = report.score(names, states, how)
    alive = sorted(name for name, state in states.items() if state != report.KILLED)
    Path("survivors.diff").write_text("\n".join(f"# {states[name]}: {name}\n{diff(name)}\n" for name in alive))
    Path("score.md").write_text(text)
    print(text)
    print(f"{len(alive)} that live, as diffs: {Path('survivors.diff').resolve()}")
    for one in sorted(failed):
        print(f"error: {one}: its tests fail without a mutant, so the score is too high", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    size, seed, deadline, seconds, children = sys.argv[1:]
    sys.exit(main(int(size), int(seed), float(deadline), float(seconds), int(children)))
