"""A Valkey of its own for each test, which it may kill."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis.asyncio as redis
from redis.exceptions import RedisError

from endocrine.pipeline.local.valkey import binary
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import free_port
from waiting import until


class Redis(Protocol):
    """A Redis server that can be started, killed, and started again on its port and data."""

    url: str
    client: "redis.Redis"

    async def start(self) -> None: ...
    async def kill(self) -> None: ...


class _Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}"
        self.client = redis.from_url(self.url, db=12)
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self._folder), "--save", ""]
        return [str(binary()), *options, "--appendonly", "yes", "--appendfsync", "everysec"]

    async def start(self) -> None:
        self._spawn()
        async with asyncio.timeout(120):
            while True:
                try:
                    await self.client.ping()
                    return
                except (RedisError, OSError):
                    await asyncio.sleep(0.05)

    def _spawn(self) -> None:
        self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Redis]:
    """A running Redis, empty."""
    made = _Server(tmp_path)
    await made.start()
    yield made
    await made.client.aclose()
    await made.kill()


@pytest.fixture
def redis_settings(server: Redis) -> Settings:
    """Settings whose read models lie there; nothing else is meant to be used."""
    return Settings(redis_url=server.url, redis_events_kept=5, redis_timeout_s=2, group="unit")


@pytest.fixture
def eventually() -> Any:
    """Wait until a coroutine function returns something true; return that."""
    return until
