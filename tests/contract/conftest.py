"""One contract suite, on the embedded broker or on Apache Kafka: `pytest tests/contract --broker embedded|kafka`.

`ENDOCRINE_TEST_BROKER` does the same. On Kafka it uses the node that `make kafka` left running, else one of its own.
Marks: `kafka` and `embedded` for what only makes sense there; `gap_of_embedded("reason")` for what the embedded broker
is known to do otherwise (a strict xfail there: it fails as soon as the gap is closed).
"""

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.embedded import EmbeddedBroker
from pipeline.kafka_node import LIBS, KafkaNode, running_node
from pipeline.settings import Settings


@dataclass(frozen=True)
class Broker:
    """The broker the suite runs on."""

    name: str
    bootstrap: str
    redis_url: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", choices=("embedded", "kafka"), help="broker of the contract suite (default: embedded)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gap_of_embedded(reason): the embedded broker differs here (strict xfail)")


def _chosen(config: pytest.Config) -> str:
    # A run that does not name this folder loads this file too late for the option: then it is the environment's choice.
    return str(config.getoption("--broker", None) or os.environ.get("ENDOCRINE_TEST_BROKER") or "embedded")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = _chosen(config)
    for item in items:
        gap = item.get_closest_marker("gap_of_embedded")
        if gap and chosen == "embedded":
            item.add_marker(pytest.mark.xfail(strict=True, reason=gap.args[0]))


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The one broker of this run, with a Redis beside it (the embedded one's in both cases)."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = tmp_path_factory.mktemp("broker")
    chosen = _chosen(request.config)
    embedded = EmbeddedBroker(folder / "embedded", kafka=chosen == "embedded")
    asyncio.run(embedded.start())
    node = None
    try:
        if chosen == "embedded":
            yield Broker("embedded", embedded.bootstrap, embedded.redis_url)
        elif found := running_node():
            yield Broker("kafka", found[1], embedded.redis_url)
        else:
            node = KafkaNode(folder / "kafka")
            asyncio.run(node.start())
            yield Broker("kafka", node.bootstrap, embedded.redis_url)
    finally:
        if node:
            asyncio.run(node.stop())
        asyncio.run(embedded.stop())


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
def settings(broker: Broker, prefix: str, tmp_path: Path) -> Settings:
    """Settings of a run on this broker, with topics, group and folder of this test alone."""
    return Settings(
        bootstrap=broker.bootstrap, redis_url=broker.redis_url, prefix=prefix, group=prefix + "group", data_dir=tmp_path
    )


@pytest.fixture
async def admin(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def kafka_libs() -> Path:
    """Folder of Kafka's jars."""
    if not LIBS.exists():
        pytest.fail(f"Kafka's jars are missing in {LIBS}: run `make kafka-fetch`")
    return LIBS


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
        """The first `count` records of a partition; fails after 20 s."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap, max_partition_fetch_bytes=64 << 20)
        await consumer.start()
        try:
            where = TopicPartition(topic, partition)
            consumer.assign([where])
            await consumer.seek_to_beginning(where)
            async with asyncio.timeout(20):
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
