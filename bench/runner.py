"""One contender over one workload: alone, as a process of its own, judged by what it writes."""

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
from bench.harness import Arena
from bench.machine import cpu_seconds, resident_bytes
from bench.throughput import course, rate
from bench.workload import Stream, Workload, index_of
from endocrine.pipeline.process import subprocesses as child

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 20.0
"""Seconds a contender has to end; throughput is known by then."""
WARM_UP = 0.2
"""Share of a stream that is read before time is taken."""
_numbers = count(1)


class Throughput(NamedTuple):
    """What one run gave."""

    rate: float
    """Records per second after the warm-up, by the broker's clock."""
    cpu_us: float
    """Processor time of the contender per record, microseconds; what other processes do matters less to it."""


class ContenderError(RuntimeError):
    """A contender died, or wrote something else than the fold says."""


class Contender:
    """A running contender. folder: for its log and local state. job: what it is told."""

    def __init__(self, name: str, job: Job, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        argv = [sys.executable, "-m", f"bench.competitors.{name}", orjson.dumps(asdict(job)).decode()]
        if name == "faust":
            argv.append("worker")  # Faust reads its own command from the same line
        self.process: subprocess.Popen[bytes] = child.spawn(argv, self.log, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def alive(self) -> None:
        """Raises ContenderError when it has died."""
        if (code := self.process.poll()) is not None:
            raise ContenderError(
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
async def prepared(arena: Arena, name: str, folder: Path, agents: tuple[str, ...] = ()) -> AsyncIterator[Job]:
    """Topics of its own for one contender, deleted at the end."""
    number = next(_numbers)
    own = folder / f"{number}"
    await asyncio.to_thread(own.mkdir)
    job = Job(arena.bootstrap, f"b{number}.{name}.", arena.partitions, str(own), agents)
    await arena.make_topics(job.prefix, agents)
    try:
        yield job
    finally:
        await arena.delete_topics(job.prefix)


@asynccontextmanager
async def running(name: str, job: Job, *, kill: bool = False) -> AsyncIterator[Contender]:
    """The contender as a process; it is gone at the end, however that comes. kill: at once, when all is known."""
    contender = Contender(name, job, Path(job.folder))
    try:
        yield contender
    finally:
        if kill:
            contender.process.kill()
        contender.end()


async def throughput(
    arena: Arena,
    name: str,
    workload: Workload,
    folder: Path,
    told: Callable[[str, int, int], None],
    hook: Callable[[Contender], AbstractContextManager[object]] | None = None,
) -> Throughput:
    """One run. told: what is done, how much of it, of how much. hook: entered when the warm-up is over.

    Raises ContenderError when its changes are not those of the fold.
    """
    agents = ("attribution",) if name == "endocrine" else ()
    stream = Stream.empty(workload.partitions)
    async with prepared(arena, name, folder, agents) as job:
        total = workload.records + workload.partitions
        await arena.produce(job.source, stream.make(workload), lambda n: told("producing", n, total))
        async with running(name, job, kill=True) as contender:
            with ExitStack() as hooked:
                warm: list[tuple[int, float]] = []

                def seen(read: int) -> None:
                    told("running", read, total)
                    if not warm and read >= total * WARM_UP:
                        warm.append((read, contender.cpu))
                        if hook is not None:
                            hooked.enter_context(hook(contender))

                await arena.watch(job.target, stream, contender.alive, seen)
                read, before = warm[0]
                cpu_us = 1e6 * (contender.cpu - before) / max(1, total - read)
        changes = await arena.read_all(job.target)
    check(name, workload, [value for _, value in changes])
    points = course(stream, [(ms, index_of(orjson.loads(value)["ts"])) for ms, value in changes])
    return Throughput(rate(points, int(stream.total * WARM_UP), stream.total), cpu_us)


def check(name: str, workload: Workload, changes: list[bytes]) -> None:
    """Raises ContenderError when the changes are not exactly those that the fold makes of the workload's records."""
    missing = expected(workload)
    found = Counter(hashlib.blake2b(value, digest_size=12).digest() for value in changes)
    if found != missing:
        lost, wrong = (missing - found).total(), (found - missing).total()
        raise ContenderError(
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
            states[key], said = fold(states.get(key), observation)
            found.update(hashlib.blake2b(orjson.dumps(change), digest_size=12).digest() for change in said)
        _expected[workload] = found
    return _expected[workload]
