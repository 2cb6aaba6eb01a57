"""Two workers on two sets of partitions, as two cells have them: each its own topics and group, on one broker."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain
from pathlib import Path

from bench.harness import Harness
from bench.runner import WARM_UP, Throughput, check, points_of, prepared, running
from bench.throughput import Point, rate
from bench.workload import Stream, Workload

WORKERS = 2


async def two_workers(
    harness: Harness, workload: Workload, folder: Path, notify: Callable[[str, int, int], None]
) -> Throughput:
    """Both at once, each over the workload; records of both count. Raises CompetitorError as a single run does."""
    total = WORKERS * (workload.records + workload.partitions)
    async with AsyncExitStack() as held:
        jobs = [
            await held.enter_async_context(prepared(harness, "endocrine", folder, ("attribution",)))
            for _ in range(WORKERS)
        ]
        streams = [Stream.empty(workload.partitions) for _ in jobs]
        for job, stream in zip(jobs, streams, strict=True):
            await harness.produce(job.source, stream.make(workload), lambda n: notify("producing", n, total // WORKERS))
        async with AsyncExitStack() as alive:
            workers = [await alive.enter_async_context(running("endocrine", job, kill=True)) for job in jobs]
            warm: list[tuple[int, float, float]] = []
            read = [0] * WORKERS

            def seen(number: int, count: int) -> None:
                read[number] = count
                notify("running", sum(read), total)
                if not warm and sum(read) >= total * WARM_UP:
                    warm.append((sum(read), sum(worker.cpu for worker in workers), harness.broker_cpu))

            triples = enumerate(zip(jobs, streams, workers, strict=True))
            await asyncio.gather(
                *(
                    watching(harness, job.target, stream, worker.alive, partial(seen, number))
                    for number, (job, stream, worker) in triples
                )
            )
            first, cpu, broker = warm[0]
            timed = max(1, total - first)
            cpu_us = 1e6 * (sum(worker.cpu for worker in workers) - cpu) / timed
            broker_us = 1e6 * (harness.broker_cpu - broker) / timed
        sizes = [await asyncio.to_thread(harness.written, job.prefix, job.source) for job in jobs]
        points = []
        for job, stream in zip(jobs, streams, strict=True):
            changes = await harness.read_all(job.target)
            check("endocrine", workload, [value for _, value in changes])
            points.append(points_of(stream, changes))
    came, wrote = (sum(size[which] for size in sizes) / total for which in (0, 1))
    return Throughput(rate(together(points), int(total * WARM_UP), total), cpu_us, broker_us, came, wrote)


async def watching(
    harness: Harness, topic: str, stream: Stream, alive: Callable[[], None], notify: Callable[[int], None]
) -> None:
    """As the harness watches, by a reader of its own: two topics are watched at once."""
    async with harness.beside() as other:
        await other.watch(topic, stream, alive, notify)


def together(courses: list[list[Point]]) -> list[Point]:
    """Courses of several as one: what all of them had read at each moment.

    >>> together([[Point(1, 5), Point(3, 9)], [Point(2, 4)]])
    [Point(ms=1, read=5), Point(ms=2, read=9), Point(ms=3, read=13)]
    """
    read = [0] * len(courses)
    found = []
    marked = ([(point.ms, which, point.read) for point in course] for which, course in enumerate(courses))
    for ms, which, count in sorted(chain.from_iterable(marked)):
        read[which] = count
        found.append(Point(ms, sum(read)))
    return found
