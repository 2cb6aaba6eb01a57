"""One competitor over one workload: alone, as a process of its own, judged by what it writes."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import orjson

from bench.competitors.job import Job, fold
from bench.contenders import CONTENDERS
from bench.harness import Harness
from bench.machine import cpu_seconds, resident_bytes
from bench.recorded import record
from bench.throughput import Point, progress_points, rate
from bench.workload import Stream, Workload, index_of
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.settings import Settings

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
    broker_us: float
    """The same of the broker."""
    bytes_in: float
    """Bytes per record on the source topic."""
    bytes_out: float
    """Bytes per record on every other topic of the competitor."""

    def rounded(self) -> dict[str, float]:
        """As results hold it."""
        return {name: round(value, 2) for name, value in self._asdict().items()}


class CompetitorError(RuntimeError):
    """A competitor died, or wrote something else than the fold says."""


class Competitor:
    """A running competitor. module: in bench.competitors. job: its settings, with its folder for log and state.

    program: Python to run it with. path: PYTHONPATH, by default this checkout.
    """

    def __init__(self, module: str, job: Job, *, program: str = sys.executable, path: str = str(ROOT)) -> None:
        self.name = module
        self.log = Path(job.folder) / f"{module}.log"
        argv = [program, "-m", f"bench.competitors.{module}", orjson.dumps(job.given()).decode()]
        if module == "faust":
            argv.append("worker")  # Faust reads its own command from the same line
        env = {**os.environ, "PYTHONPATH": path}
        self.process: subprocess.Popen[bytes] = child.spawn(argv, self.log, env=env)

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


@dataclass(frozen=True)
class Launch:
    """How competitors are started: with which Python, on which PYTHONPATH."""

    program: str = sys.executable
    path: str = str(ROOT)


THIS = Launch()
"""This checkout, by this Python."""


@asynccontextmanager
async def prepared(
    harness: Harness, name: str, folder: Path, agents: tuple[str, ...] = (), **given: str
) -> AsyncIterator[Job]:
    """Topics of its own for one competitor, deleted at the end. given: further fields of its job."""
    number = next(_numbers)
    own = folder / f"{number}"
    await asyncio.to_thread(own.mkdir)
    job = Job(harness.bootstrap, f"b{number}.{name}.", harness.partitions, str(own), agents, **given)
    await harness.make_topics(job.prefix, agents)
    try:
        yield job
    finally:
        await harness.delete_topics(job.prefix)
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)


@asynccontextmanager
async def running(module: str, job: Job, *, kill: bool = False, launch: Launch = THIS) -> AsyncIterator[Competitor]:
    """The competitor as a process; it is gone at the end, however that comes. kill: at once, when all is known."""
    competitor = Competitor(module, job, program=launch.program, path=launch.path)
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
    *,
    compression: str = "none",
    launch: Launch = THIS,
) -> Throughput:
    """One run. notify: called with what is done, how much of it, of how much. hook: entered when the warm-up is over.

    Raises CompetitorError when its changes are not those of the fold.
    """
    contender = CONTENDERS[name]
    stream = Stream.empty(workload.partitions)
    given = {"variant": contender.variant, "compression": compression}
    if contender.module == "ideal":
        notify("recording what it writes", 0, 1)
        given["recorded"] = str(await asyncio.to_thread(_recorded, workload, folder))
    async with prepared(harness, contender.module, folder, contender.agents, **given) as job:
        total = workload.records + workload.partitions
        await harness.produce(job.source, stream.make(workload), lambda n: notify("producing", n, total))
        async with running(contender.module, job, kill=True, launch=launch) as competitor:
            with ExitStack() as hooked:
                warm: list[tuple[int, float, float]] = []

                def seen(read: int) -> None:
                    notify("running", read, total)
                    if not warm and read >= total * WARM_UP:
                        warm.append((read, competitor.cpu, harness.broker_cpu))
                        if hook is not None:
                            hooked.enter_context(hook(competitor))

                await harness.watch(job.target, stream, competitor.alive, seen)
                read, before, broker_before = warm[0]
                timed = max(1, total - read)
                cpu_us = 1e6 * (competitor.cpu - before) / timed
                broker_us = 1e6 * (harness.broker_cpu - broker_before) / timed
        came, wrote = await asyncio.to_thread(harness.written, job.prefix, job.source)
        changes = await harness.read_all(job.target)
        if contender.module == "endocrine":
            batches = sum((await harness.ends(f"{job.prefix}journal")).values())
            _at_once.setdefault(workload, max(1, round(stream.total / max(1, batches))))
    check(name, workload, [value for _, value in changes])
    found = rate(points_of(stream, changes), int(stream.total * WARM_UP), stream.total)
    return Throughput(found, cpu_us, broker_us, came / stream.total, wrote / stream.total)


def points_of(stream: Stream, changes: list[tuple[int, bytes]]) -> list[Point]:
    """How far its competitor was, and when, by the changes it wrote."""
    return progress_points(stream, [(ms, index_of(orjson.loads(value)["ts"])) for ms, value in changes])


_at_once: dict[Workload, int] = {}
"""Records of a batch, on average, of the first run of our worker: smaller ones write a state more often."""


def _recorded(workload: Workload, folder: Path) -> Path:
    """Where what our worker writes for a workload was recorded; recorded once."""
    at_once = _at_once.get(workload, Settings().max_batch_records)
    kept = folder / f"recorded-{workload.name}-{workload.records}-{at_once}"
    if not kept.exists():
        made = list(Stream.empty(workload.partitions).make(workload))
        record(made, workload.partitions, kept, "bench.", at_once)
    return kept


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
