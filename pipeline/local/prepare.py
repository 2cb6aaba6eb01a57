"""What the local stack needs once for each user: Kafka's jars, and Java's cache of their classes."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from endocrine.pipeline.local import class_cache
from endocrine.pipeline.local.jars import Progress, Stopped, fetched, kafka_jars, kafka_version, locked
from endocrine.pipeline.local.java import java

Show = Callable[[str], AbstractContextManager[Progress]]
"""Shows a step that may take a while; gives what takes its progress."""


async def prepared(show: Show) -> None:
    """Return when a Kafka node can be started, at once if nothing is left to do. Raises BrokerError.

    Cancelled, it leaves no process and no thread; what was fetched by then is kept.
    """
    runtime = java()
    if not await asyncio.to_thread(fetched):
        megabytes = sum(jar.size for jar in locked()) // 1_000_000
        with show(f"fetching Apache Kafka {kafka_version()} ({megabytes} MB, once)") as progress:
            await _in_thread(progress)
    if class_cache.wanted(runtime):
        with show("preparing Kafka to start quickly (once)") as progress:
            progress(0, None)
            await class_cache.train(runtime)


async def _in_thread(progress: Progress) -> None:
    stop = threading.Event()

    def guarded(done: int, total: int | None) -> None:
        if stop.is_set():
            raise Stopped
        progress(done, total)

    fetching = asyncio.create_task(asyncio.to_thread(kafka_jars, guarded))
    try:
        await asyncio.shield(fetching)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([fetching])
        raise
