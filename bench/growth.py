"""Our worker with ever more keys: cost per event, memory per key, and how fast it is back after a restart."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import orjson
from aiokafka import TopicPartition

from bench.competitors.job import Job
from bench.harness import Harness
from bench.runner import prepared, running
from bench.throughput import progress_points, rate
from bench.workload import Stream, Workload, index_of

Notify = Callable[[str, int, int], None]
NAME = "endocrine"
ACTIVE = 1000
"""Identities that have traffic in the segments that look at the size of the memory alone."""


@dataclass
class Grown:
    """What one number of identities gave."""

    rates: list[float] = field(default_factory=list)
    """Records per second, per segment, records being of all identities."""
    same_traffic: list[float] = field(default_factory=list)
    """The same where records are of ACTIVE identities only, however many are held."""
    resident: int = 0
    """Bytes, when every key was in memory and all was read."""
    recovery_s: list[float] = field(default_factory=list)
    """Seconds from the first epoch record in the changelog to the last partition's first new change."""


async def grow(
    harness: Harness, identities: int, segments: int, records: int, restarts: int, folder: Path, notify: Notify
) -> Grown:
    """Fill a worker with one key per identity, restart it, then time `segments` of `records` over all identities."""
    found = Grown()
    stream = Stream.empty(harness.partitions)
    async with prepared(harness, NAME, folder, ("attribution",)) as job:
        fill = Workload("fill", identities, 0, first=True, one_primitive=True, partitions=harness.partitions)
        await harness.produce(job.source, stream.make(fill), lambda n: notify("filling", n, identities))
        async with running(NAME, job) as worker:
            await harness.watch(job.target, stream, worker.alive, lambda n: notify("folding", n, stream.total))
            found.resident = worker.resident
        for number in range(restarts):
            notify("recovering", number, restarts)
            found.recovery_s.append(await _recover(harness, job, stream))
        found.rates = await _segments(harness, job, stream, Workload("all", identities, 0), segments, records, notify)
        few = Workload("few", identities, 0, active=min(ACTIVE, identities))
        found.same_traffic = await _segments(harness, job, stream, few, segments, records, notify)
    return found


async def _segments(
    harness: Harness, job: Job, stream: Stream, workload: Workload, segments: int, records: int, notify: Notify
) -> list[float]:
    """Records per second of each segment, of a worker started on what came before."""
    start, total = stream.total, segments * records
    timed = replace(workload, records=total, one_primitive=True, partitions=harness.partitions, seed=2)
    await harness.produce(job.source, stream.make(timed), lambda n: notify("producing", n, total))
    async with running(NAME, job) as worker:
        await harness.watch(job.target, stream, worker.alive, lambda n: notify("running", n - start, total))
    changes = await harness.read_all(job.target)
    points = progress_points(stream, [(ms, index_of(orjson.loads(value)["ts"])) for ms, value in changes])
    # The first tenth of the first segment is warm-up.
    steps = [start + records // 10, *(start + number * records for number in range(1, segments + 1))]
    return [rate(points, after, until) for after, until in pairwise(steps)]


async def _recover(harness: Harness, job: Job, stream: Stream) -> float:
    """Start a worker on the changelog as it is and one new record per partition; seconds until it is back at work."""
    changelog = f"{job.prefix}changelog.attribution"
    before = await harness.ends(changelog)
    await harness.produce(job.source, stream.close())
    async with running(NAME, job) as worker:
        await harness.watch(job.target, stream, worker.alive)
    claimed = [await harness.append_time(TopicPartition(changelog, place), before[place]) for place in before]
    ends = await harness.ends(job.target)
    back = [await harness.append_time(TopicPartition(job.target, place), ends[place] - 1) for place in ends]
    return (max(back) - min(claimed)) / 1000
