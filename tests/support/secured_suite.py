"""Plugin of pytest: the contract suite on a secured Kafka. `pytest -p secured_suite tests/contract ...`

What runs is one principal with the ACLs of all roles, as `endocrine acls print` lists them, for the topics and groups
of each test, and nothing else. Topics are made by an operator, who grants the ACLs then. The tests' own clients, which
give no security, are the operator's, too.
"""

import functools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient

import shared_broker
from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.kafka import acls, admin
from endocrine.pipeline.process.settings import Settings

_granted: set[tuple[str, str]] = set()
"""Prefix and group of topics that were made."""


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
        mine = settings.model_copy(update={"kafka_security": "PLAINTEXT", "bootstrap": found.operator})
        async with opened(mine, deadline) as client:
            if (settings.prefix, settings.group) not in _granted:
                _granted.add((settings.prefix, settings.group))
                wanted = sorted({acl for role in ROLES for acl in acls_of(role, settings)})
                await acls.create(mine, f"User:{shared_broker.PRINCIPAL}", wanted)
            yield client

    admin._admin = by_operator


def _operators_clients() -> None:
    """Clients that give no security go to the listener of the operator."""
    made = AIOKafkaClient.__init__

    @functools.wraps(made)
    def on_listener(self: AIOKafkaClient, *args: Any, **given: Any) -> None:
        if given.get("security_protocol", "PLAINTEXT") == "PLAINTEXT" and "bootstrap_servers" in given:
            found = shared_broker.known()
            if found is not None and given["bootstrap_servers"] == found.bootstrap:
                given["bootstrap_servers"] = found.operator
        made(self, *args, **given)

    AIOKafkaClient.__init__ = on_listener
