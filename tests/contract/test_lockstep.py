"""The same inputs in lock step give the same derived records, byte for byte, from `simulate` and from the worker."""

import random
import time
from collections import defaultdict
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import histories
import link_histories
import memory_histories
from endocrine.agents.registry import AGENTS
from endocrine.agents.rekeying import MOVERS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.core.records import CUT, ORIGIN, SEAL
from endocrine.pipeline.core.simulation import Simulation, parse_line
from endocrine.pipeline.data import scenario
from endocrine.pipeline.data.rekey_apply import adoptions, retirements
from endocrine.pipeline.data.rekey_plan import plan_of
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.version import code_version
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.replay.verify import verified_topics
from running import at_rest, worker_in_process

PARTITIONS = 2
PLACES = {ORIGIN, CUT, "endocrine-rekeyed-from", SEAL}
"""Headers that name broker offsets, or depend on those and on a deployment's key."""
BY_APPEND_TIME = {"tool-analytics"}
"""Topics whose values follow the append time of what was derived, which a broker gives and `simulate` does not."""
Derived = dict[tuple[str, str | None], list[Any]]


def _plain(topic: str, key: str | None, value: Any, headers: dict[str, str], into: Derived) -> None:
    if topic in BY_APPEND_TIME:
        return
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
        sizes=settings.sizes,
        partitions=settings.partitions,
    )
    found: Derived = defaultdict(list)
    for line in lines:
        for topic, key, value, headers in run.feed(line):
            _plain(topic, key, value, dict(headers), found)
    return dict(found)


async def worked(lines: list[dict[str, Any]], settings: Settings) -> tuple[Derived, list[bytes]]:
    """What a worker derives, and the lines with the append times that the broker gave them."""
    stamped: list[bytes] = []
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            for line in lines:
                topic, key, value, headers, _ = parse_line(orjson.dumps(line))
                sent = await producer.send_and_wait(
                    settings.prefix + topic,
                    value,
                    key=None if key is None else key.encode(),
                    headers=[(name, content.encode()) for name, content in headers.items()],
                )
                stamped.append(orjson.dumps(line | {"timestamp": sent.timestamp / 1000}))
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


def moved(lines: list[Any]) -> list[Any]:
    """The lines with their times moved so that the last one lies a little ahead of now; the first calls are stale."""
    times = [ts for line in lines if isinstance(ts := line["value"].get("ts"), float)]
    shift = time.time() + 200 - max(times)
    for line in lines:
        value = line["value"]
        for part, name in ((value, "ts"), (value.get("window"), "start_ts"), (value.get("window"), "end_ts")):
            if isinstance(part, dict) and isinstance(part.get(name), float) and part[name] > 0:
                part[name] = round(part[name] + shift, 3)
    return lines


def settled(derived: Derived) -> Derived:
    """With the last version of each memory, and how many there were: what ends a conflict causes both an order and a
    mark, which race to the memory agent. The worker's journal says which came first, and replay follows that."""
    return {
        (topic, key): [len(records), records[-1][0]] if topic == "memories" else records
        for (topic, key), records in derived.items()
    }


async def test_the_scenario_gives_the_same_bytes_from_simulate_and_from_the_worker(settings: Settings) -> None:
    began = time.time()
    lines = [scenario.live(line, 0, began) for line in scenario.lines()]
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(lines, small)
    assert settled(live) == settled(simulated(stamped, small))
    assert sum(map(len, live.values())) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_random_histories_give_the_same_bytes_from_simulate_and_from_the_worker(
    settings: Settings, seed: int
) -> None:
    lines = moved(histories.with_names(random.Random(seed), histories.random_history(random.Random(seed), 120)))
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(lines, small)
    assert live == simulated(stamped, small)
    assert any(topic.endswith(".dlq") for topic, _ in live), "the history holds no malformed record"
    assert any(topic == "registry-events" for topic, _ in live), "the history registers no name"


@pytest.mark.slow
async def test_memory_gives_the_same_bytes_from_simulate_and_from_the_worker(settings: Settings) -> None:
    # One fact may cause both an order and a mark, which race to the memory agent: of some seeds the worker's journal
    # has another order than `simulate`. The states are the same, and replay follows the journal.
    history = memory_histories.memory_history(random.Random(8), 150)
    lines = moved([line for line in history if isinstance(line["value"], dict)])
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(lines, small)
    assert live == simulated(stamped, small)
    assert {"captured", "memories", "candidates", "reinforcements", "conflicts"} <= {topic for topic, _ in live}


def rekeyed(settings: Settings) -> list[dict[str, Any]]:
    """What two names of one person left behind, and the commands that make it one person's."""
    table, run = (
        NameTable(),
        Simulation(AGENTS, shipped_policy(), version=code_version(), sizes=settings.sizes, partitions=PARTITIONS),
    )
    for name, kind in (("Ann", "id"), ("old", "alias")):
        entry = {"scope": "identity", "name": name, "registered_id": "Ann", "kind": kind, "description": None}
        entry |= {"roots": None, "effective_from": 1.0, "released_from": None, "by": "op", "ts": 1.0}
        table.apply(b"", orjson.dumps(entry))
    given = [
        {"kind": "set_cap", "cap": 3},
        {"kind": "add_note", "text": "x"},
        {"kind": "state_set", "category": "fact", "key": "town", "value": "Bern"},
        {"kind": "memory_create", "type": "knowledge", "content": "the pad is oak", "slot": "pad"},
    ]
    now, lines = time.time(), list[dict[str, Any]]()
    for number, (who, one) in enumerate((who, one) for who in ("old", "Ann") for one in given):
        value = {**one, "id": f"c{number}", "identity": who, "by": "op", "ts": now}
        lines.append({"topic": "commands", "value": value})
        for _ in run.feed(orjson.dumps(lines[-1])):
            pass
    states = {agent.engine.agent.name: {} for agent in run._agents if agent.engine.agent.name in MOVERS}
    for agent in run._agents:
        if agent.engine.agent.name in states:
            for (_, key), stored in agent.states.items():
                states[agent.engine.agent.name][key] = unpack(stored)[0]
    plan = plan_of(table, "identity", "old", states, notes_kept=20, cards_kept=200, max_record_bytes=1 << 20)
    told = {"by": "op", "ts": now}
    sent = [
        *adoptions(plan, check=True, **told),
        *adoptions(plan, check=False, **told),
        *retirements(plan, **told),
    ]
    return [*lines, *({"topic": "commands", "value": value} for value in sent)]


async def test_a_rekey_gives_the_same_bytes_from_simulate_and_from_the_worker(settings: Settings) -> None:
    small = settings.model_copy(update={"partitions": PARTITIONS})
    live, stamped = await worked(rekeyed(small), small)
    assert live == simulated(stamped, small)
    outcomes = {orjson.loads(value)["outcome"] for (topic, _), said in live.items() if topic == "rekeys"
                for value, _ in said}  # fmt: skip
    assert outcomes == {"possible", "adopted", "retired"}
    for topic in ("bonds", "trusted-states", "memories"):
        assert [said[-1][0] for (name, key), said in live.items() if name == topic and key.startswith("old")] == [None]


async def test_linkage_gives_the_same_bytes_from_simulate_and_from_the_worker(settings: Settings) -> None:
    # One partition: two pairs that one keystroke value makes may meet under tokens of two, and race from there.
    lines = moved(link_histories.link_history(random.Random(3), 60, step_s=3 * 3600.0))
    small = settings.model_copy(update={"partitions": 1})
    live, stamped = await worked(lines, small)
    assert live == simulated(stamped, small)
    assert {"link-evidence", "link-hints", "identity-links", "link-events"} <= {topic for topic, _ in live}
