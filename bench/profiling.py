"""A sampling profile of a running worker (`py-spy`): folded stacks on disk, the heaviest functions on the screen."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from endocrine.pipeline.process import subprocesses as child

SAMPLES_PER_S = 250
PATIENCE_S = 30.0


class Heavy(NamedTuple):
    """One function: shares of all samples, 0 to 1."""

    function: str
    own: float
    """With this function on top."""
    whole: float
    """With this function anywhere on the stack."""


@contextmanager
def profiled(pid: int, target: Path) -> Iterator[None]:
    """Sample a process while the block runs; folded stacks go to `target` (flamegraph.pl reads them)."""
    installed = Path(sys.executable).with_name("py-spy")
    program = str(installed) if installed.exists() else shutil.which("py-spy")
    if program is None:
        raise FileNotFoundError("py-spy is missing: run this through `make bench`, which installs what it needs")
    target.unlink(missing_ok=True)
    argv = [program, "record", "--pid", str(pid), "--rate", str(SAMPLES_PER_S), "--duration", "3600"]
    argv += ["--format", "raw", "--threads", "--function", "--nonblocking", "--output", str(target)]
    log = target.with_suffix(".log")
    spy = child.spawn(argv, log)
    try:
        yield
    finally:
        if spy.poll() is None:
            spy.send_signal(signal.SIGINT)  # it writes what it has
            try:
                spy.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.end(spy, 1)
        if not target.exists():
            print(f"no profile was written; output of py-spy:\n{child.last_lines(log)}", file=sys.stderr)
        else:
            log.unlink(missing_ok=True)


def heaviest(folded: Iterable[str], limit: int) -> list[Heavy]:
    """Functions by their own share, heaviest first. folded: lines `frame;frame;frame COUNT`.

    >>> heaviest(["main;a;b 3", "main;a 1"], 2)
    [Heavy(function='b', own=0.75, whole=0.75), Heavy(function='a', own=0.25, whole=1.0)]
    """
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in folded:
        stack, _, times = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(times)
        for frame in set(frames):
            whole[frame] += int(times)
    total = own.total() or 1
    return [Heavy(name, times / total, whole[name] / total) for name, times in own.most_common(limit)]
