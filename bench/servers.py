"""Servers as processes of their own: started, awaited, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process import subprocesses as child_processes
from endocrine.pipeline.process.settings import Settings

T = TypeVar("T")
READY_S = 120.0
CLI = ("-m", "endocrine.pipeline.cli")
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


class Base(NamedTuple):
    """Kafka and Valkey with every topic, for servers that are measured on them."""

    folder: Path
    """For logs and ready files; it goes with them."""
    settings: Settings
    env: Mapping[str, str]
    """Environment of the servers: ours, with where these are."""


@asynccontextmanager
async def based() -> AsyncIterator[Base]:
    """Kafka and Valkey in a folder of their own."""
    with TemporaryDirectory(prefix="endocrine-bench-") as name:
        folder = Path(name)
        await prepared(quietly)
        async with LocalStack(folder / "data") as local:
            settings = Settings(bootstrap=local.bootstrap, redis_url=local.redis_url, data_dir=folder / "data")
            await ensure_topics(settings, [])
            env = {
                "ENDOCRINE_BOOTSTRAP": str(local.bootstrap),
                "ENDOCRINE_REDIS_URL": str(local.redis_url),
                "ENDOCRINE_DATA_DIR": str(folder / "data"),
            }
            yield Base(folder, settings, os.environ | env)


@asynccontextmanager
async def serving(
    base: Base, part: str, *arguments: str, before: tuple[str, ...] = ()
) -> AsyncIterator[tuple[int, Path]]:
    """A command of ours on it, such as `gateway`, once it is ready; yields its process id and its ready file.

    Several of one command have arguments that differ. before: options of Python.
    """
    ready = base.folder / f"{'-'.join((part, *arguments)).replace('/', '-')}-ready"
    command = (*before, *CLI, part, *arguments, "--ready-file", str(ready))
    async with process(ready, *command, log=ready.with_suffix(".log"), env=base.env) as pid:
        yield pid, ready


def port_in(ready: Path) -> int:
    """Return the port that a gateway wrote into its ready file."""
    return int(ready.read_text().rpartition(":")[2])


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
