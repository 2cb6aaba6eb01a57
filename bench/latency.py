"""How long a decision takes through Kafka: tool calls in at a steady rate, decisions out, against a bare echo.

The same client measures both, with its own clock: from the call of `send` to the record in hand. Calls are sent when
they are due, whatever is still unanswered.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.figures import percentile
from bench.harness import Harness
from bench.runner import Competitor, CompetitorError, prepared, running
from bench.workload import START_TS
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of

RATE = 200
"""Calls per second."""
TURNS = 200
WARM_UP_S = 3.0
PATIENCE_S = 30.0


def opening(number: int) -> dict[str, Any]:
    """A turn of an identity of its own."""
    return {
        "kind": "opened",
        "audit_id": f"turn-{number}",
        "identity": f"user-{number}",
        "session_id": f"session-{number}",
        "turn": 0,
        "client": "bench",
        "prompt": "Which invoices are due this week?",
        "ts": START_TS + number / 1000,
        "id": f"open-{number}",
    }


def call(number: int) -> dict[str, Any]:
    """A tool call of one of the turns; each turn gets the next one in its order."""
    turn = number % TURNS
    return {
        "call_id": f"call-{number}",
        "audit_id": f"turn-{turn}",
        "identity": f"user-{turn}",
        "tool": "retrieve_knowledge",
        "arguments": {"query": "invoices due", "k": 3},
        "step": 1,
        "ts": START_TS + 60 + number / 1000,
        "id": f"call-{number}",
    }


async def latency(
    harness: Harness, name: str, seconds: float, folder: Path, notify: Callable[[str, int, int], None]
) -> dict[str, float]:
    """p50, p99 and max in milliseconds, of `endocrine` (all agents, as in production) or `echo`."""
    agents = tuple(agent.name for agent in AGENTS) if name == "endocrine" else ()
    async with prepared(harness, name, folder, agents) as job, running(name, job) as competitor:
        if agents:
            records = [
                (partition_of(turn["identity"], harness.partitions), turn) for turn in map(opening, range(TURNS))
            ]
            encoded = [(place, turn["identity"].encode(), orjson.dumps(turn)) for place, turn in records]
            await harness.produce(f"{job.prefix}interactions", encoded)
            await _wait_for(harness, f"{job.prefix}modulations", TURNS, competitor)
        return await _measure(harness, job.prefix, seconds, competitor, notify)


async def _wait_for(harness: Harness, topic: str, count: int, competitor: Competitor) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while sum((await harness.ends(topic)).values()) < count:
            competitor.alive()
            await asyncio.sleep(0.1)


async def _measure(
    harness: Harness, prefix: str, seconds: float, competitor: Competitor, notify: Callable[[str, int, int], None]
) -> dict[str, float]:
    producer = AIOKafkaProducer(bootstrap_servers=harness.bootstrap, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=harness.bootstrap, group_id=None, auto_offset_reset="latest")
    calls = [orjson.dumps(call(number)) for number in range(int((WARM_UP_S + seconds) * RATE))]
    keys = [f"user-{number % TURNS}".encode() for number in range(len(calls))]
    sent: list[float] = []
    took: dict[int, float] = {}
    await producer.start()
    await consumer.start()
    try:
        consumer.assign(harness.places(f"{prefix}tool-decisions"))
        await consumer.seek_to_end()
        first = await producer.send(f"{prefix}tool-calls", orjson.dumps(call(-1)), key=keys[-1])
        await first
        async with asyncio.timeout(PATIENCE_S):  # until the competitor is at work
            while not await consumer.getmany(timeout_ms=100):
                competitor.alive()
        receiving = asyncio.create_task(_receive(consumer, sent, took, len(calls)))
        gc.collect()
        gc.disable()  # the client's own pauses are not what is measured
        start = time.perf_counter()
        for number, value in enumerate(calls):
            wait = start + number / RATE - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            sent.append(time.perf_counter())
            await producer.send(f"{prefix}tool-calls", value, key=keys[number])
            if number % RATE == 0:
                competitor.alive()
                notify("asking", number, len(calls))
        try:
            await asyncio.wait_for(receiving, PATIENCE_S)
        except TimeoutError:
            raise CompetitorError(
                f"{competitor.name}: {len(calls) - len(took)} of {len(calls)} calls unanswered"
            ) from None
    finally:
        gc.enable()
        await consumer.stop()
        await producer.stop()
    timed = [1000 * ms for number, ms in took.items() if number >= WARM_UP_S * RATE]
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(percentile(timed, share), 3) for name, share in shares.items()}


async def _receive(consumer: AIOKafkaConsumer, sent: list[float], took: dict[int, float], count: int) -> None:
    while len(took) < count:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            now = time.perf_counter()
            for record in records:
                number = int(orjson.loads(record.value)["call_id"].removeprefix("call-"))
                if number >= 0:
                    took.setdefault(number, now - sent[number])
