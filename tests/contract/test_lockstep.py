"""The same inputs in lock step give the same derived records, byte for byte, from `simulate` and from the worker.

Decisions go by append time too, so `simulate` is given the broker's, and the histories are moved to where their `ts` is
neither stale nor ahead of it.
"""

import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import histories
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from running import at_rest, worker_in_process

from agents.roster import AGENTS
from pipeline.engine.fit import partition_of
from pipeline.engine.wire import CUT, ORIGIN
from pipeline.policy_files import shipped_policy
from pipeline.replay.logs import read_logs
from pipeline.replay.verify import verified_topics
from pipeline.settings import Settings
from pipeline.simulation import Simulation, parse_line
from pipeline.topics import CATALOGUE
from pipeline.version import code_version

SCENARIO = Path(__file__).parents[2] / "config" / "scenario.jsonl"
PARTITIONS = 2
AHEAD_S = 250.0
TIMES = ("ts", "start_ts", "end_ts")
PLACES = {ORIGIN, CUT, "endocrine-rekeyed-from"}
"""Headers that name broker offsets."""
Derived = dict[tuple[str, str | None], list[Any]]


def _plain(topic: str, key: str | None, value: Any, headers: dict[str, str], into: Derived) -> None:
    kept = {name: content for name, content in headers.items() if name not in PLACES}
    if CATALOGUE.get(topic) and CATALOGUE[topic].key == "tool":  # each partition says its own figures under one key
        key = f"{key} on {partition_of(headers['ce_subject'], PARTITIONS)}"
    # A dead letter holds the original bytes on a broker, and the bad line as text in `simulate`.
    into[topic, key].append((None if topic.endswith(".dlq") else value, kept))


def simulated(lines: list[bytes], settings: Settings) -> Derived:
    run = Simulation(
        AGENTS,
        shipped_policy(),
        version=code_version(),
        max_record_bytes=settings.max_record_bytes,
        partitions=settings.partitions,
    )
    found: Derived = defaultdict(list)
    for line in lines:
        for topic, key, value, headers in run.feed(line):
            _plain(topic, key, value, dict(headers), found)
    return dict(found)


def moved(lines: list[bytes]) -> list[bytes]:
    """The lines with every time moved by the same, so that the last one lies a little ahead of now."""
    values = [orjson.loads(line) for line in lines]
    times = [
        ts
        for line in values
        if isinstance(line["value"], dict) and type(ts := line["value"].get("ts")) is float and ts > 1e9
    ]
    by = float(round(time.time() + AHEAD_S - max(times)))

    def shifted(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: one + by if name in TIMES and type(one) is float and one > 1e9 else shifted(one)
                for name, one in value.items()
            }
        return value

    return [orjson.dumps({**line, "value": shifted(line["value"])}) for line in values]


async def worked(lines: list[bytes], settings: Settings) -> tuple[Derived, list[bytes]]:
    """What a worker derives, and the lines with the append time of each."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await consumer.start()
    stamped: list[bytes] = []
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            for line in lines:
                topic, key, value, headers, _ = parse_line(line)
                sent = await producer.send_and_wait(
                    settings.prefix + topic,
                    value,
                    key=None if key is None else key.encode(),
                    headers=[(name, content.encode()) for name, content in headers.items()],
                )
                stamped.append(orjson.dumps({**orjson.loads(line), "timestamp": sent.timestamp / 1000}))
                await at_rest(worker, consumer)
    finally:
        await producer.stop()
        await consumer.stop()
    found: Derived = defaultdict(list)
    topics = [topic for topic in verified_topics() if topic not in ("journal", "policies")]
    for (topic, _), log in (await read_logs(settings, topics)).items():
        for raw in log:
            headers = {name: content.decode() for name, content in raw.headers}
            if "ce_source" in headers or topic.endswith(".dlq"):
                _plain(topic, raw.key and raw.key.decode(), raw.value, headers, found)
    return dict(found), stamped


async def test_the_scenario_gives_the_same_bytes_from_simulate_and_from_the_worker(settings: Settings) -> None:
    lines = moved([line.strip() for line in SCENARIO.read_bytes().splitlines()])
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(lines, small)
    assert live == simulated(stamped, small)
    decided = [
        orjson.loads(value) for (topic, _), said in live.items() if topic == "tool-decisions" for value, _ in said
    ]
    assert {one["reason"] for one in decided} - {"stale_call", "unknown_turn"}, "the gate had nothing to decide"
    assert sum(map(len, live.values())) > 200


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_histories_give_the_same_bytes_from_simulate_and_from_the_worker(
    settings: Settings, seed: int
) -> None:
    lines = moved([orjson.dumps(line) for line in histories.random_history(random.Random(seed), 120)])
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(lines, small)
    assert live == simulated(stamped, small)
    decided = [
        orjson.loads(value) for (topic, _), said in live.items() if topic == "tool-decisions" for value, _ in said
    ]
    assert {one["reason"] for one in decided} - {"stale_call", "unknown_turn"}, "the gate had nothing to decide"
    assert any(topic.endswith(".dlq") for topic, _ in live), "the history holds no malformed record"
