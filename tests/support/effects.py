"""Effects over a broker, for tests: a runner in this process, requests put on a topic, answers read back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from endocrine.pipeline.connectors.contract import Limits
from endocrine.pipeline.connectors.effect_runner import EffectRunner
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.process.settings import Settings
from sealing import sealed

TOY = "toy"
"""Name of the connectors that tests bring: on a secured Kafka one group of theirs is granted (secured_suite.py)."""
PATIENCE_S = 120.0
"""Far above what a loaded machine needs; no test is about this time."""


@asynccontextmanager
async def running(settings: Settings, effect: Any, **limits: Any) -> AsyncIterator[EffectRunner]:
    runner = EffectRunner(settings, effect, limits=Limits(**limits))
    life = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(runner.ready.wait(), 30)
        yield runner
    finally:
        runner.stop()
        await life
    assert runner.failure is None, runner.failure


async def produce(settings: Settings, topic: str, *values: dict[str, Any]) -> None:
    """Put records on a topic, sealed: as one of our own processes."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    for value in values:
        place = partition_of(value["identity"], settings.partitions)
        key, content = value["identity"].encode(), orjson.dumps(value)
        headers = sealed(settings, topic, place, key, content)
        await producer.send_and_wait(settings.prefix + topic, content, key=key, partition=place, headers=headers)
    await producer.stop()


async def answers(settings: Settings, topic: str, count: int, *, more_s: float = 0.0) -> list[Any]:
    """The first `count` records, and what else comes within `more_s`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    places = [TopicPartition(settings.prefix + topic, n) for n in range(settings.partitions)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    found: list[Any] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                found += [raw for run in (await consumer.getmany(timeout_ms=200)).values() for raw in run]
        if more_s:
            found += [raw for run in (await consumer.getmany(timeout_ms=int(more_s * 1000))).values() for raw in run]
        return found
    finally:
        await consumer.stop()
