"""A connector as a process: topics first, then until SIGINT or SIGTERM, with an exit code at the end."""

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

import structlog

from pipeline.admin import ensure_topics
from pipeline.settings import Settings

log = structlog.get_logger(__name__)
UNUSABLE = 2
"""Exit code where settings, policy or key cannot be used: a restart would not help."""


class Running(Protocol):
    """What runs until it is asked to stop; then `failure` holds what made it stop on its own, or None."""

    ready: asyncio.Event
    failure: BaseException | None

    def stop(self) -> None: ...

    async def run(self) -> None: ...


async def serve(settings: Settings, name: str, running: Running, told_ready: Callable[[], None]) -> int:
    """Run under SIGINT and SIGTERM as the wish to stop. Returns the exit code: 0 asked to stop, 1 failed."""
    try:
        await ensure_topics(settings, [])
    except Exception as error:
        log.error("the connector cannot start", connector=name, error=f"{type(error).__name__}: {error}")
        return 1
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop)
    telling = asyncio.create_task(_tell(running, told_ready))
    try:
        await running.run()
    finally:
        telling.cancel()
    return 0 if running.failure is None else 1


async def _tell(running: Running, told_ready: Callable[[], None]) -> None:
    await running.ready.wait()
    told_ready()
