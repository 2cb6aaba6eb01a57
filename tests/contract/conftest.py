"""The contract suite, on one Apache Kafka and one Valkey for the whole run (tests/support/shared_broker.py).

Each test has topics, a group and a folder of its own. Tests marked `node` start processes of their own beside them.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import shared_broker
from endocrine.pipeline.process.settings import Settings
from needed import needed_topics


@dataclass(frozen=True)
class Broker:
    """The broker the suite runs on."""

    bootstrap: str
    redis_url: str


@pytest.fixture(scope="session")
def broker() -> Broker:
    """The one broker of this run, with a Redis beside it."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = shared_broker.addresses()
    return Broker(found.bootstrap, found.redis_url)


@pytest.fixture
async def prefix(broker: Broker) -> AsyncIterator[str]:
    """A topic prefix of this test alone; its topics are deleted afterwards."""
    mine = f"t{uuid.uuid4().hex[:8]}."
    yield mine
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    try:
        if names := [name for name in await client.list_topics() if name.startswith(mine)]:
            await client.delete_topics(names)
    finally:
        await client.close()


@pytest.fixture
def settings(broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a run on this broker, with topics, group and folder of this test alone.

    Commands that the test calls use that folder too: it has the seal keys. Two partitions are several: each further
    one costs the broker and every worker as much again.
    """
    monkeypatch.setenv("ENDOCRINE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ENDOCRINE_PARTITIONS", "2")
    return Settings(
        bootstrap=broker.bootstrap,
        redis_url=broker.redis_url,
        prefix=prefix,
        group=prefix + "group",
        data_dir=tmp_path,
        partitions=2,
    )


@pytest.fixture
def only_needed_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ensure_topics` makes only what the agents that are named to it read and write (tests/support/needed.py)."""
    monkeypatch.setattr("endocrine.pipeline.kafka.admin.physical_topics", needed_topics)


@pytest.fixture
async def admin(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    yield client
    await client.close()


class Wire:
    """Plain Kafka clients for a test: create a topic, write, read it back."""

    def __init__(self, broker: Broker, prefix: str, admin: AIOKafkaAdminClient) -> None:
        self.broker = broker
        self.prefix = prefix
        self.admin = admin
        self._clients: list[AIOKafkaProducer | AIOKafkaConsumer] = []

    async def topic(self, name: str, partitions: int = 1, **configs: str) -> str:
        """Create a topic; config names with `_` for `.`. LogAppendTime unless said otherwise."""
        full = self.prefix + name
        dotted = {"message.timestamp.type": "LogAppendTime"} | {k.replace("_", "."): v for k, v in configs.items()}
        answer = await self.admin.create_topics([NewTopic(full, partitions, 1, topic_configs=dotted)])
        assert [error[1] for error in answer.topic_errors] == [0]
        return full

    async def producer(self, **options: object) -> AIOKafkaProducer:
        """A started producer that is stopped with the test."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, acks="all", **options)
        await producer.start()
        self._clients.append(producer)
        return producer

    async def consumer(self, **options: object) -> AIOKafkaConsumer:
        """A started consumer of no group that is stopped with the test."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap, group_id=None, **options)
        await consumer.start()
        self._clients.append(consumer)
        return consumer

    async def read(self, topic: str, count: int, partition: int = 0) -> list[object]:
        """The first `count` records of a partition; fails after two minutes."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap, max_partition_fetch_bytes=64 << 20)
        await consumer.start()
        try:
            where = TopicPartition(topic, partition)
            consumer.assign([where])
            await consumer.seek_to_beginning(where)
            async with asyncio.timeout(120):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """The log end of a partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap)
        await consumer.start()
        try:
            where = TopicPartition(topic, partition)
            return int((await consumer.end_offsets([where]))[where])
        finally:
            await consumer.stop()

    async def close(self) -> None:
        for client in self._clients:
            await client.stop()


@pytest.fixture
async def wire(broker: Broker, prefix: str, admin: AIOKafkaAdminClient) -> AsyncIterator[Wire]:
    mine = Wire(broker, prefix, admin)
    yield mine
    await mine.close()
