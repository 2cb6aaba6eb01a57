"""One secured Kafka for all tests of this folder, with a user for each role."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.acl_roles import ROLES
from endocrine.pipeline.kafka.admin import ensure_topics
from secured_broker import ADMIN, SecuredBroker


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secured")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(folder: Path) -> AsyncIterator[SecuredBroker]:
    """The broker, with the topics that its operator made."""
    async with SecuredBroker(folder, list(ROLES)) as found:
        await ensure_topics(found.settings(ADMIN), [agent.name for agent in AGENTS])
        yield found
