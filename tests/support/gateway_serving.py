"""A gateway and a worker on the broker of this run, for tests that share them, and an HTTP client."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import uvicorn
from aiokafka.admin import AIOKafkaAdminClient

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.gateway.app import connected, key_file
from endocrine.pipeline.gateway.keys import SCOPES, Key, KeyRing, create
from endocrine.pipeline.gateway.openai_port.mount import whole_application
from endocrine.pipeline.gateway.openai_port.refusing import render
from endocrine.pipeline.gateway.protocol import bounded
from endocrine.pipeline.gateway.server import KEEP_ALIVE_S, Server
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
        return httpx.AsyncClient(base_url=self.url, headers={**auth, **headers}, timeout=120, trust_env=False)

    def key(self, *scopes: str, **more: Any) -> str:
        """A further key."""
        name = more.pop("name", f"k{uuid.uuid4().hex[:8]}")
        file = key_file(self.settings, self.gateway.limits)
        secret = create(file, Key(name=name, sha256="0" * 64, scopes=list(scopes), **more))
        self.gateway.doorkeeper._keys._looked = 0.0  # looked at again at once
        return secret


@contextlib.asynccontextmanager
async def served(
    settings: Settings, *, keys: bool = True, policy: Policy | None = None, more: Any = lambda _: (), **limits: Any
) -> AsyncIterator[Door]:
    """A gateway in this process, on a free port; keys: with one that may do everything. policy: the shipped one.

    more: makes further routes.
    """
    bounds = GatewaySettings(**{"port": 0, **limits})
    file = key_file(settings, bounds)
    secret = ""
    if keys:
        key = Key(name=f"all{uuid.uuid4().hex[:6]}", sha256="0" * 64, scopes=list(SCOPES), rate=1e5, burst=10**6)
        secret = create(file, key)
    async with connected(settings, bounds, policy or shipped_policy(), load_seals(settings), KeyRing(file)) as gateway:
        http = bounded(bounds.header_bytes, bounds.read_s, render)
        config = uvicorn.Config(whole_application(gateway, more(gateway)), port=0, http=http, ws="none", lifespan="off",
                                log_config=None, access_log=False, timeout_graceful_shutdown=1,
                                timeout_keep_alive=KEEP_ALIVE_S)  # fmt: skip
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
async def stack(
    settings: Settings, *, worker: bool = True, policy: Policy | None = None, without: str | None = None
) -> AsyncIterator[None]:
    """Topics, and a worker and a projection that have begun. without: an agent that is not there."""
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    if not worker:
        yield
        return
    projection = Projection(settings)
    projecting = asyncio.create_task(projection.run())
    try:
        async with worker_in_process(
            settings, [one for one in AGENTS if one.name != without], policy or shipped_policy()
        ):
            yield
    finally:
        await projection.stop()
        await projecting


async def forget(settings: Settings) -> None:
    """Delete the topics of these settings."""
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await client.start()
    try:
        if names := [name for name in await client.list_topics() if name.startswith(settings.prefix)]:
            await client.delete_topics(names)
    finally:
        await client.close()
