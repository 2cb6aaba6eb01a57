"""Each ACL of each role, taken away in turn: the check at the start of its processes names it, and so does the error of
the operation that needs it, where it is taken away later."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.kafka.acls import Acl
from endocrine.pipeline.kafka.admin import TopicsError, _create, _repair_configs
from endocrine.pipeline.kafka.clients import consumer, introduce, reader
from endocrine.pipeline.kafka.connection import admin_client, producer, refusal
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, places_of
from endocrine.pipeline.process.settings import Settings
from secured_broker import ADMIN, SecuredBroker

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
_PATIENCE_S = 30


class Role:
    """A role with clients that stay open: each connection costs TLS and SASL anew, and there are hundreds of ACLs."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.settings, self.wanted = settings, acls_of(role, settings)
        self.admin = admin_client(settings)
        self.producer = producer(settings, retry_backoff_ms=20)
        self.reader = reader(settings, retry_backoff_ms=20)
        self._topics = {topic.name: topic for topic in physical_topics(settings, [agent.name for agent in AGENTS])}

    async def start(self) -> None:
        for client in (self.admin, self.producer, self.reader):
            await client.start()

    async def close(self) -> None:
        await self.admin.close()
        await self.producer.stop()
        await self.reader.stop()

    async def refused(self, acl: Acl) -> str:
        """Do what needs this ACL; return what a person reads of it."""
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return await self._attempt(acl)
            except (TopicsError, NoSuchTopic) as error:
                return str(error)
            except KafkaError as error:
                return refusal(self.settings, error) or f"not named: {error!r}"

    async def _attempt(self, acl: Acl) -> str:
        if acl.operation == "WRITE":
            await self.producer.send_and_wait(acl.name, b"{}", partition=0)
        elif acl.resource == "GROUP" and acl.operation == "DESCRIBE":
            await self.admin.list_consumer_group_offsets(acl.name)
        elif acl.resource == "GROUP":
            member = consumer(self.settings, self._readable(), group_id=acl.name)
            try:
                await member.start()
                await member.getone()
            finally:
                await member.stop()
        elif acl.operation == "READ":
            await self._read(TopicPartition(acl.name, 0))
        elif acl.operation == "DESCRIBE":
            await _create(self.admin, [self._topics[acl.name]], self.settings, time.monotonic())
        else:
            return "\n".join(await _repair_configs(self.admin, [self._topics[acl.name]], time.monotonic()))
        return "nothing was refused"

    async def _read(self, place: TopicPartition) -> None:
        """As every reader of topics does: metadata, offsets, records."""
        async with asyncio.timeout(_PATIENCE_S):
            await places_of(self.settings, [place.topic.removeprefix(self.settings.prefix)], None)
            introduce(self.reader, [place])
            ends = await self.reader.end_offsets([place])
            self.reader.assign([place])
            self.reader.seek(place, ends[place])
            for _ in range(_PATIENCE_S):  # an answer to what was fetched before may come first
                await self.reader.getmany(timeout_ms=1000)

    def _readable(self) -> str:
        return next(acl.name for acl in self.wanted if acl.operation == "READ" and acl.resource == "TOPIC")


@pytest_asyncio.fixture(loop_scope="session")
async def kept_open(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """ACLs are granted, taken away and asked for over one connection of each principal."""
    held: dict[str | None, AIOKafkaAdminClient] = {}

    @contextlib.asynccontextmanager
    async def started(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
        if settings.kafka_user not in held:
            held[settings.kafka_user] = admin_client(settings)
            await held[settings.kafka_user].start()
        yield held[settings.kafka_user]

    monkeypatch.setattr(acls, "_started", started)
    yield
    for client in held.values():
        await client.close()


@pytest.mark.usefixtures("kept_open")
@pytest.mark.parametrize("role", ROLES)
async def test_each_acl_that_is_taken_away_is_named(broker: SecuredBroker, role: str) -> None:
    settings, admin = broker.settings(role), broker.settings(ADMIN)
    one = Role(settings, role)
    await acls.create(admin, f"User:{role}", one.wanted)
    assert await _missing_once(one, lambda lacking: not lacking) == []
    await one.start()
    unnamed = []
    try:
        for acl in one.wanted:
            assert await acls.delete(admin, f"User:{role}", [acl]) == 1
            lacking = await _missing_once(one, lambda found, acl=acl: acl in found)
            # What may not be described any more shows none of its other permissions; no other resource is named.
            assert {other.name for other in lacking} == {acl.name}
            assert f"  {acl}" in acls.lacking_lines(settings, role, lacking).splitlines()
            if acl.name not in (error := await one.refused(acl)):
                unnamed.append(f"{acl}: {error}")
            await acls.create(admin, f"User:{role}", [acl])
            await _missing_once(one, lambda found: not found)
    finally:
        await one.close()
    assert unnamed == []


async def _missing_once(one: Role, holds: Callable[[list[Acl]], bool]) -> list[Acl]:
    """An ACL is in force a moment after the answer."""
    async with asyncio.timeout(_PATIENCE_S):
        while not holds(found := await acls.missing(one.settings, one.wanted)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found
