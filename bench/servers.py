"""Servers as processes of their own: started, awaited, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from endocrine.pipeline.process import subprocesses as child_processes

T = TypeVar("T")
READY_S = 120.0
POLL_S = 0.05


class Server(NamedTuple):
    """A server under test."""

    name: str
    pid: int
    port: int
    path: str
    others: tuple[int, ...] = ()
    """Processes that work for it."""


def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Run it; SIGTERM ends it as Ctrl-C does, with nothing left behind. Raises CancelledError then."""

    async def guarded() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(guarded())


def quietly(_: str) -> AbstractContextManager[Callable[[int, int | None], None]]:
    """Show no progress (endocrine.pipeline.local.prepare)."""
    return nullcontext(lambda done, total: None)


@asynccontextmanager
async def process(
    ready: Path, *command: str, log: Path, env: Mapping[str, str] = os.environ, program: str = sys.executable
) -> AsyncIterator[int]:
    """A Python process that makes the file once it is ready; yields its id, and ends it."""
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(program, *command, stdout=output, stderr=output, env=dict(env))
    try:
        async with asyncio.timeout(READY_S):
            while not await asyncio.to_thread(ready.exists):
                if child.returncode is not None:
                    shown = child_processes.last_lines(log, 20)
                    raise RuntimeError(f"{' '.join(command)} ended; its log ends with:\n{shown}")
                await asyncio.sleep(POLL_S)
        yield child.pid
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
