"""A consumer whose start a deadline ends."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings
from waiting import turns_of_the_loop


@pytest.fixture
def steps(monkeypatch):
    """What becomes of a consumer, in order; it has started once `steps.go` is set."""

    class Steps(list):
        go = asyncio.Event()

    seen = Steps()

    async def start(self):
        await seen.go.wait()
        seen.append("started")

    async def stop(self):
        seen.append("stopped")

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)
    monkeypatch.setattr(AIOKafkaConsumer, "stop", stop)
    return seen


async def test_a_start_that_is_cancelled_ends_without_its_caller_and_the_consumer_is_stopped_then(steps):
    consumer = clients.reader(Settings())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await consumer.start()
    await consumer.stop()
    assert steps == []
    steps.go.set()
    await turns_of_the_loop()
    assert steps == ["started", "stopped"]
    assert not clients._ENDING


async def test_a_consumer_that_has_started_is_stopped_by_its_caller(steps):
    steps.go.set()
    consumer = clients.reader(Settings())
    await consumer.start()
    await consumer.stop()
    assert steps == ["started", "stopped"]
