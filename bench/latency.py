"""How long a decision takes through Kafka: tool calls in at a steady rate, decisions out, against two echoes.

The same client measures both, with its own clock: from the call of `send` to the record in hand. Calls are sent when
they are due, whatever is still unanswered; where a competitor is too slow for the rate, a queue grows, and the median
of the last quarter of the answers is above that of the first. There are as many open turns as calls in a second.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.competitors.job import Job
from bench.figures import percentile
from bench.harness import Harness
from bench.runner import THIS, Competitor, CompetitorError, Launch, prepared, running
from bench.workload import START_TS
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of

RATE, FAST = 200, 1000
"""Calls per second."""
WARM_UP_S = 3.0
PATIENCE_S = 30.0
SETTLE_S = 12.0
"""Seconds after which a worker's looks at quiet topics have become as rare as they will."""
Notify = Callable[[str, int, int], None]


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


def call(number: int, turns: int) -> dict[str, Any]:
    """A tool call of one of the turns; each turn gets the next one in its order."""
    turn = number % turns
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
    harness: Harness,
    name: str,
    seconds: float,
    folder: Path,
    notify: Notify,
    *,
    rate: int = RATE,
    launch: Launch = THIS,
) -> dict[str, float]:
    """Percentiles in milliseconds and growth of the queue, of `endocrine` (all agents, as in production) or an echo."""
    async with at_work(harness, name, folder, rate, launch) as (job, competitor):
        return await _measure(harness, job.prefix, seconds, rate, competitor, notify)


@asynccontextmanager
async def at_work(
    harness: Harness, name: str, folder: Path, turns: int = RATE, launch: Launch = THIS
) -> AsyncIterator[tuple[Job, Competitor]]:
    """A competitor that knows the turns whose calls will come."""
    agents = tuple(agent.name for agent in AGENTS) if name == "endocrine" else ()
    async with prepared(harness, name, folder, agents) as job, running(name, job, launch=launch) as competitor:
        if agents:
            records = [
                (partition_of(turn["identity"], harness.partitions), turn) for turn in map(opening, range(turns))
            ]
            encoded = [(place, turn["identity"].encode(), orjson.dumps(turn)) for place, turn in records]
            await harness.produce(f"{job.prefix}interactions", encoded)
            await _wait_for(harness, f"{job.prefix}modulations", turns, competitor)
        yield job, competitor


async def idle(harness: Harness, seconds: float, folder: Path, notify: Notify) -> float:
    """The share of a core that our worker takes with all agents and nothing to do, after some turns."""
    async with at_work(harness, "endocrine", folder) as (_, worker):
        notify("settling", 0, 1)
        await asyncio.sleep(SETTLE_S)
        notify("idle", 0, 1)
        before, began = worker.cpu, time.monotonic()
        await asyncio.sleep(seconds)
        worker.alive()
        return (worker.cpu - before) / (time.monotonic() - began)


async def _wait_for(harness: Harness, topic: str, count: int, competitor: Competitor) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while sum((await harness.ends(topic)).values()) < count:
            competitor.alive()
            await asyncio.sleep(0.1)


async def _measure(
    harness: Harness, prefix: str, seconds: float, rate: int, competitor: Competitor, notify: Notify
) -> dict[str, float]:
    producer = AIOKafkaProducer(bootstrap_servers=harness.bootstrap, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=harness.bootstrap, group_id=None, auto_offset_reset="latest")
    calls = [orjson.dumps(call(number, rate)) for number in range(int((WARM_UP_S + seconds) * rate))]
    keys = [f"user-{number % rate}".encode() for number in range(len(calls))]
    sent: list[float] = []
    took: dict[int, float] = {}
    await producer.start()
    await consumer.start()
    try:
        consumer.assign(harness.places(f"{prefix}tool-decisions"))
        await consumer.seek_to_end()
        first = await producer.send(f"{prefix}tool-calls", orjson.dumps(call(-1, rate)), key=keys[-1])
        await first
        async with asyncio.timeout(PATIENCE_S):  # until the competitor is at work
            while not await consumer.getmany(timeout_ms=100):
                competitor.alive()
        receiving = asyncio.create_task(_receive(consumer, sent, took, len(calls)))
        gc.collect()
        gc.disable()  # the client's own pauses are not what is measured
        before = competitor.cpu, harness.broker_cpu, harness.written(prefix, f"{prefix}tool-calls")
        start = time.perf_counter()
        for number, value in enumerate(calls):
            wait = start + number / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            sent.append(time.perf_counter())
            await producer.send(f"{prefix}tool-calls", value, key=keys[number])
            if number % rate == 0:
                competitor.alive()
                notify("asking", number, len(calls))
        try:
            await asyncio.wait_for(receiving, PATIENCE_S)
        except TimeoutError:  # where it is overloaded: they count with what they have waited
            if len(took) < len(calls) / 2:
                raise CompetitorError(
                    f"{competitor.name}: {len(calls) - len(took)} of {len(calls)} calls unanswered"
                ) from None
            now = time.perf_counter()
            took = {number: took.get(number, now - sent[number]) for number in range(len(calls))}
        used, broker = competitor.cpu, harness.broker_cpu
    finally:
        gc.enable()
        await consumer.stop()
        await producer.stop()
    timed = [1000 * took[number] for number in range(int(WARM_UP_S * rate), len(calls))]
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    found = {name: round(percentile(timed, share), 3) for name, share in shares.items()}
    cpu_us, broker_us = (1e6 * spent / len(calls) for spent in (used - before[0], broker - before[1]))
    bytes_in, bytes_out = (
        (late - early) / len(calls)
        for early, late in zip(before[2], harness.written(prefix, f"{prefix}tool-calls"), strict=True)
    )
    return found | {
        "queue": round(queue_growth(timed), 3),
        "cpu_us": round(cpu_us),
        "broker_us": round(broker_us),
        "bytes_in": round(bytes_in),
        "bytes_out": round(bytes_out),
    }


def queue_growth(timed: Sequence[float]) -> float:
    """The median of the last quarter against that of the first, of answers' times in the order of their calls.

    >>> queue_growth([1.0, 1.0, 1.0, 1.0, 5.0, 9.0, 13.0, 17.0])
    15.0
    """
    quarter = max(1, len(timed) // 4)
    return median(timed[-quarter:]) / median(timed[:quarter])


async def _receive(consumer: AIOKafkaConsumer, sent: list[float], took: dict[int, float], count: int) -> None:
    while len(took) < count:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            now = time.perf_counter()
            for record in records:
                number = int(orjson.loads(record.value)["call_id"].removeprefix("call-"))
                if number >= 0:
                    took.setdefault(number, now - sent[number])
