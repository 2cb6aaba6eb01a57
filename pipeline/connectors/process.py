"""A connector as a process: topics first, then until SIGINT or SIGTERM, with an exit code at the end."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

import structlog

from endocrine.pipeline.kafka.admin import ConnectionRefused, ensure_topics
from endocrine.pipeline.kafka.clients import require_content_keys
from endocrine.pipeline.process import stopping
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings

log = structlog.get_logger(__name__)
UNUSABLE = 2
"""Exit code where settings, policy or key cannot be used: a restart would not help."""


class Running(Protocol):
    """What runs until it is asked to stop; then `failure` holds what made it stop on its own, or None."""

    ready: asyncio.Event
    failure: BaseException | None

    def stop(self) -> None: ...

    async def run(self) -> None: ...


async def serve(
    settings: Settings,
    name: str,
    running: Running,
    on_ready: Callable[[], None],
    follow: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
) -> int:
    """Run under SIGINT and SIGTERM as the wish to stop. Returns the exit code: 0 asked to stop, 1 failed.

    follow: makes what is entered while it runs, once the topics are there.
    """
    stop = asyncio.Event()

    def asked() -> None:
        stop.set()
        running.stop()

    with stopping.asked(asked):
        try:
            if not await _unless(stop, ensure_topics(settings, [])):
                return 0
            await require_content_keys(settings)
            following = follow()
            if not await _unless(stop, following.__aenter__()):
                return 0
        except (ConnectionRefused, KeyFileError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except Exception as error:
            log.error("the connector cannot start", connector=name, error=f"{type(error).__name__}: {error}")
            return 1
        telling = asyncio.create_task(_tell(running, on_ready))
        try:
            await running.run()
        finally:
            telling.cancel()
            await following.__aexit__(None, None, None)
    return 0 if running.failure is None else 1


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do this unless asked to stop first. True when it is done."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        await working
        return True
    await cancelled([working])
    return False


async def _tell(running: Running, on_ready: Callable[[], None]) -> None:
    await running.ready.wait()
    on_ready()
