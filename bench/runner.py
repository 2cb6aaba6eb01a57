"""One competitor over one workload: alone, as a process of its own, judged by what it writes."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import NamedTuple

import orjson

from bench.competitors.job import Job, fold
from bench.harness import Harness
from bench.machine import cpu_seconds, resident_bytes
from bench.throughput import progress_points, rate
from bench.workload import Stream, Workload, index_of
from endocrine.pipeline.process import subprocesses as child

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 20.0
"""Seconds a competitor has to end; throughput is known by then."""
WARM_UP = 0.2
"""Share of a stream that is read before time is taken."""
_numbers = count(1)


class Throughput(NamedTuple):
    """What one run gave."""

    rate: float
    """Records per second after the warm-up, by the broker's clock."""
    cpu_us: float
    """Processor time of the competitor per record, microseconds; what other processes do matters less to it."""


class CompetitorError(RuntimeError):
    """A competitor died, or wrote something else than the fold says."""


class Competitor:
    """A running competitor. folder: for its log and local state. job: its settings."""

    def __init__(self, name: str, job: Job, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        argv = [sys.executable, "-m", f"bench.competitors.{name}", orjson.dumps(asdict(job)).decode()]
        if name == "faust":
            argv.append("worker")  # Faust reads its own command from the same line
        self.process: subprocess.Popen[bytes] = child.spawn(argv, self.log, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def alive(self) -> None:
        """Raises CompetitorError when it has died."""
        if (code := self.process.poll()) is not None:
            raise CompetitorError(
                f"{self.name} died (exit code {code}). Its log ends with:\n{child.last_lines(self.log, 20)}"
            )

    @property
    def resident(self) -> int:
        """Resident memory, bytes."""
        return resident_bytes(self.process.pid)

    def end(self) -> None:
        """End it, and wait."""
        child.end(self.process, GRACE_S)

    @property
    def cpu(self) -> float:
        """Processor time used so far, seconds."""
        return cpu_seconds(self.process.pid)


@asynccontextmanager
async def prepared(harness: Harness, name: str, folder: Path, agents: tuple[str, ...] = ()) -> AsyncIterator[Job]:
    """Topics of its own for one competitor, deleted at the end."""
    number = next(_numbers)
    own = folder / f"{number}"
    await asyncio.to_thread(own.mkdir)
    job = Job(harness.bootstrap, f"b{number}.{name}.", harness.partitions, str(own), agents)
    await harness.make_topics(job.prefix, agents)
    try:
        yield job
    finally:
        await harness.delete_topics(job.prefix)


@asynccontextmanager
async def running(name: str, job: Job, *, kill: bool = False) -> AsyncIterator[Competitor]:
    """The competitor as a process; it is gone at the end, however that comes. kill: at once, when all is known."""
    competitor = Competitor(name, job, Path(job.folder))
    try:
        yield competitor
    finally:
        if kill:
            competitor.process.kill()
        competitor.end()


async def throughput(
    harness: Harness,
    name: str,
    workload: Workload,
    folder: Path,
    notify: Callable[[str, int, int], None],
    hook: Callable[[Competitor], AbstractContextManager[object]] | None = None,
) -> Throughput:
    """One run. notify: called with what is done, how much of it, of how much. hook: entered when the warm-up is over.

    Raises CompetitorError when its changes are not those of the fold.
    """
    agents = ("attribution",) if name == "endocrine" else ()
    stream = Stream.empty(workload.partitions)
    async with prepared(harness, name, folder, agents) as job:
        total = workload.records + workload.partitions
        await harness.produce(job.source, stream.make(workload), lambda n: notify("producing", n, total))
        async with running(name, job, kill=True) as competitor:
            with ExitStack() as hooked:
                warm: list[tuple[int, float]] = []

                def seen(read: int) -> None:
                    notify("running", read, total)
                    if not warm and read >= total * WARM_UP:
                        warm.append((read, competitor.cpu))
                        if hook is not None:
                            hooked.enter_context(hook(competitor))

                await harness.watch(job.target, stream, competitor.alive, seen)
                read, before = warm[0]
                cpu_us = 1e6 * (competitor.cpu - before) / max(1, total - read)
        changes = await harness.read_all(job.target)
    check(name, workload, [value for _, value in changes])
    points = progress_points(stream, [(ms, index_of(orjson.loads(value)["ts"])) for ms, value in changes])
    return Throughput(rate(points, int(stream.total * WARM_UP), stream.total), cpu_us)


def check(name: str, workload: Workload, changes: list[bytes]) -> None:
    """Raises CompetitorError when the changes are not exactly those that the fold makes of the workload's records."""
    missing = expected(workload)
    found = Counter(hashlib.blake2b(value, digest_size=12).digest() for value in changes)
    if found != missing:
        lost, wrong = (missing - found).total(), (found - missing).total()
        raise CompetitorError(
            f"{name} over {workload.name}: of {missing.total()} changes {lost} are missing, and {wrong} are others or "
            "repeated; expected the changes of the fold, byte for byte"
        )


_expected: dict[Workload, Counter[bytes]] = {}


def expected(workload: Workload) -> Counter[bytes]:
    """Digests of the changes that the fold makes of the workload's records."""
    if workload not in _expected:
        states: dict[str, object] = {}
        found: Counter[bytes] = Counter()
        for _, _, value in Stream.empty(workload.partitions).make(workload):
            observation = orjson.loads(value)
            key = f"{observation['identity_ref']}/{observation['primitive']}"
            states[key], changes = fold(states.get(key), observation)
            found.update(hashlib.blake2b(orjson.dumps(change), digest_size=12).digest() for change in changes)
        _expected[workload] = found
    return _expected[workload]
