"""A gateway and a worker on the broker of this run, shared by the tests of one file, and a client that speaks HTTP."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio
import uvicorn
from aiokafka.admin import AIOKafkaAdminClient

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.gateway.app import connected, key_file
from endocrine.pipeline.gateway.keys import SCOPES, Key, KeyRing, create
from endocrine.pipeline.gateway.openai_port.mount import whole_application
from endocrine.pipeline.gateway.openai_port.refusing import render
from endocrine.pipeline.gateway.protocol import bounded
from endocrine.pipeline.gateway.server import Server
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import Projection
from running import worker_in_process


class Door:
    """A gateway that serves, and what it was made of."""

    def __init__(self, settings: Settings, url: str, secret: str, gateway: Any) -> None:
        self.settings, self.url, self.secret, self.gateway = settings, url, secret, gateway

    def client(self, secret: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client with a key: the one with every scope, where none is named."""
        secret = self.secret if secret is None else secret
        auth = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.AsyncClient(base_url=self.url, headers={**auth, **headers}, timeout=30, trust_env=False)

    def key(self, *scopes: str, **more: Any) -> str:
        """A further key."""
        name = f"k{uuid.uuid4().hex[:8]}"
        file = key_file(self.settings, self.gateway.limits)
        secret = create(file, Key(name=name, sha256="0" * 64, scopes=list(scopes), **more))
        self.gateway.doorkeeper._keys._looked = 0.0  # looked at again at once
        return secret


@contextlib.asynccontextmanager
async def served(
    settings: Settings, *, keys: bool = True, policy: Policy | None = None, **limits: Any
) -> AsyncIterator[Door]:
    """A gateway in this process, on a free port; keys: with one that may do everything. policy: the shipped one."""
    bounds = GatewaySettings(**{"port": 0, **limits})
    file = key_file(settings, bounds)
    secret = ""
    if keys:
        key = Key(name=f"all{uuid.uuid4().hex[:6]}", sha256="0" * 64, scopes=list(SCOPES), rate=1e5, burst=10**6)
        secret = create(file, key)
    async with connected(settings, bounds, policy or shipped_policy(), load_seals(settings), KeyRing(file)) as gateway:
        http = bounded(bounds.header_bytes, bounds.read_s, render)
        config = uvicorn.Config(whole_application(gateway), port=0, http=http, ws="none", lifespan="off",
                                log_config=None, access_log=False, timeout_graceful_shutdown=1)  # fmt: skip
        server = Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield Door(settings, f"http://127.0.0.1:{port}", secret, gateway)
        finally:
            server.should_exit = True
            await gateway.events.close()
            await serving


@contextlib.asynccontextmanager
async def stack(settings: Settings, *, worker: bool = True, policy: Policy | None = None) -> AsyncIterator[None]:
    """Topics, and a worker and a projection that have begun."""
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    if not worker:
        yield
        return
    projection = Projection(settings)
    projecting = asyncio.create_task(projection.run())
    try:
        async with worker_in_process(settings, AGENTS, policy or shipped_policy()):
            yield
    finally:
        await projection.stop()
        await projecting


@pytest.fixture(scope="module")
def module_settings(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with topics, a group, a Redis database and a folder of this file alone."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    folder: Path = tmp_path_factory.mktemp("gateway")
    return Settings(
        bootstrap=broker.bootstrap,
        redis_url=broker.redis_url,
        redis_db=11,
        prefix=prefix,
        group=prefix + "group",
        data_dir=folder,
        partitions=2,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings: Settings) -> AsyncIterator[Door]:
    """The gateway of this file, with a worker behind it."""
    async with stack(module_settings), served(module_settings) as door:
        yield door
    await forget(module_settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """Make a gateway without a worker: `async with alone(decision_s=1)`; fields of Settings may be named too."""
    async with stack(module_settings, worker=False):

        @contextlib.asynccontextmanager
        async def made(*, keys: bool = True, redis_url: str | None = None, **limits: Any) -> AsyncIterator[Door]:
            update: dict[str, Any] = {} if keys else {"data_dir": tmp_path_factory.mktemp("keyless")}
            update |= {} if redis_url is None else {"redis_url": redis_url}
            async with served(module_settings.model_copy(update=update), keys=keys, **limits) as door:
                yield door

        yield made
    await forget(module_settings)


async def forget(settings: Settings) -> None:
    """Delete the topics of these settings."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await client.start()
    try:
        if names := [name for name in await client.list_topics() if name.startswith(settings.prefix)]:
            await client.delete_topics(names)
    finally:
        await client.close()


@pytest.fixture
def who() -> str:
    """An identity of this test alone."""
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until the answer satisfies, at most 30 s; return it."""

    async def wait(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(30):
            while not good(answer := await ask()):  # noqa: ASYNC110 - the other end is a process
                await asyncio.sleep(0.05)
        return answer

    return wait


@pytest.fixture
def sse() -> Callable[[str], list[tuple[str, Any, str | None]]]:
    """(event, data, id) of the events in a text."""

    def parse(text: str) -> list[tuple[str, Any, str | None]]:
        found = []
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
            if "data" in fields:
                found.append((fields.get("event", "message"), json.loads(fields["data"]), fields.get("id")))
        return found

    return parse
