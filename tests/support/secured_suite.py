"""Plugin of pytest: the contract suite on a secured Kafka. `pytest -p secured_suite tests/contract ...`

What runs is one principal with the ACLs of all roles, as `endocrine acls print` lists them, for the topics and groups
of each test, and nothing else but the group of the tests' own connector. Topics are made by an operator. The tests' own
clients, which give no security, are the operator's, too.
"""

import asyncio
import functools
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

import shared_broker
from effects import TOY
from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.kafka import acls, admin
from endocrine.pipeline.kafka.acls import Acl
from endocrine.pipeline.process.settings import Settings

_KNOWN_S = 60.0
_granted: set[tuple[str, str]] = set()
"""Prefix and group that the ACLs were granted for."""


def pytest_configure(config: pytest.Config) -> None:
    os.environ[shared_broker.SECURED] = "1"
    _operators_clients()
    opened = admin._admin

    @asynccontextmanager
    async def by_operator(settings: Settings, deadline: float) -> AsyncIterator[AIOKafkaAdminClient]:
        found = shared_broker.addresses()
        if not settings.secured or settings.bootstrap != found.bootstrap:
            async with opened(settings, deadline) as client:
                yield client
            return
        await _grant(settings)
        async with opened(_operators(settings), deadline) as client:
            yield client

    admin._admin = by_operator


@pytest.fixture(autouse=True)
def _granted_before(request: pytest.FixtureRequest) -> None:
    """A test that makes its topics itself has the ACLs, too. On a thread of its own: a test has a loop already."""
    if "settings" in request.fixturenames:
        settings = request.getfixturevalue("settings")
        if isinstance(settings, Settings) and settings.secured:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _grant(settings)).result()


def _operators(settings: Settings) -> Settings:
    return settings.model_copy(update={"kafka_security": "PLAINTEXT", "bootstrap": shared_broker.addresses().operator})


async def _grant(settings: Settings) -> None:
    """Grant the ACLs of all roles for this prefix and group, once."""
    if (settings.prefix, settings.group) in _granted:
        return
    _granted.add((settings.prefix, settings.group))
    groups = [Acl("GROUP", f"{settings.group}.{TOY}", "READ")]
    wanted = sorted({*groups, *(acl for role in ROLES for acl in acls_of(role, settings))})
    await acls.create(_operators(settings), f"User:{shared_broker.PRINCIPAL}", wanted)
    # Granted is not known yet. Topics may not be there; all that was granted at once is known at once.
    async with asyncio.timeout(_KNOWN_S):
        while await acls.missing(settings, groups):  # noqa: ASYNC110 - the broker says nothing when it knows them
            await asyncio.sleep(0.01)


def _operators_clients() -> None:
    """Clients that give no security go to the listener of the operator."""
    made = AIOKafkaClient.__init__

    @functools.wraps(made)
    def on_listener(self: AIOKafkaClient, *args: Any, **given: Any) -> None:
        if given.get("security_protocol", "PLAINTEXT") == "PLAINTEXT" and "bootstrap_servers" in given:
            given["bootstrap_servers"] = shared_broker.without_security(given["bootstrap_servers"])
        made(self, *args, **given)

    AIOKafkaClient.__init__ = on_listener
