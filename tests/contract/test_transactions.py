"""Transactions of other producers: committed, aborted, left open. Nothing aborted or open is seen by anybody, and the
offsets that they and their markers take hold up nobody."""

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from effects import TOY, answers, produce, running
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.deadlines import Waits
from endocrine.pipeline.connectors.timers import Timekeeper
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.local.live.watcher import Watcher
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.views.redis import Projection
from endocrine.pipeline.views.redis.store import Store
from needed import agents_named
from running import worker_in_process
from sealing import sealed


@pytest.fixture
def small(settings: Settings) -> Settings:
    """One partition: everything lies behind everything."""
    return settings.model_copy(update={"partitions": 1, "commit_interval_s": 0.2})


def turn(identity: str) -> dict[str, Any]:
    return {
        "kind": "opened",
        "identity": identity,
        "audit_id": f"turn of {identity}",
        "session_id": "s",
        "turn": 0,
        "client": "shell",
        "prompt": "Hello.",
        "ts": 1_700_000_000.0,
    }


class Transactions:
    """Records of `interactions` in transactions, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap, transactional_id=f"app {uuid.uuid4()}", transaction_timeout_ms=60_000
        )

    async def send(self, *values: dict[str, Any], topic: str = "interactions") -> None:
        for value in values:
            key, content = value["identity"].encode(), orjson.dumps(value)
            headers = sealed(self.settings, topic, 0, key, content) if CATALOGUE[topic].ours else None
            await self.producer.send_and_wait(
                self.settings.prefix + topic, content, key=key, partition=0, headers=headers
            )

    async def commit(self, *values: dict[str, Any], topic: str = "interactions") -> None:
        await self.producer.begin_transaction()
        await self.send(*values, topic=topic)
        await self.producer.commit_transaction()

    async def abort(self, *values: dict[str, Any], topic: str = "interactions") -> None:
        await self.producer.begin_transaction()
        await self.send(*values, topic=topic)
        await self.producer.abort_transaction()


@asynccontextmanager
async def transactions(settings: Settings) -> AsyncIterator[Transactions]:
    mine = Transactions(settings)
    await mine.producer.start()
    try:
        yield mine
    finally:
        await mine.producer.stop()


@pytest.fixture
async def reader(small: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = clients.reader(small)
    await consumer.start()
    yield consumer
    await consumer.stop()


async def values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    found = []
    async for _, _, records in batches(settings, [topic]):
        found += [orjson.loads(raw.value) for raw in records]
    return found


async def decided(settings: Settings, *expected: str) -> None:
    """Wait until these have modulations, and no others. What a successor repeats counts once."""
    async with asyncio.timeout(120):
        while names := {value["identity"]: None for value in await values(settings, "modulations")} or {"nobody": None}:
            if [*names] == [*expected]:
                return
            assert set(names) - {"nobody"} <= set(expected), names
            await asyncio.sleep(0.1)


async def lag_is_zero(settings: Settings, reader: AIOKafkaConsumer, admin: Any, group: str, topic: str) -> int:
    """Wait until the group has committed the end of a topic; returns it."""
    place = TopicPartition(settings.prefix + topic, 0)
    async with asyncio.timeout(120):
        while True:
            end = (await reader.end_offsets([place]))[place]
            committed = await admin.list_consumer_group_offsets(group)
            if place in committed and committed[place].offset == end:
                return int(end)
            await asyncio.sleep(0.1)


async def endocrine(settings: Settings, *words: str) -> str:
    """A command, as a person gives it; its output. It must end with 0, and soon."""
    given = {f"ENDOCRINE_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "endocrine.pipeline.cli", *words,
        env={**os.environ, **given}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, (words, out[-500:], err[-500:])
    return out.decode()


@pytest.mark.slow
async def test_only_what_is_committed_is_decided_and_nothing_waits_for_offsets_without_record(
    small, reader, admin, tmp_path
):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    async with transactions(small) as one, transactions(small) as other:
        await one.abort(turn("aborted at the start"), turn("aborted, too"))
        await one.commit(turn("ann"))
        async with worker_in_process(small, AGENTS, shipped_policy()):
            await decided(small, "ann")
            await one.commit(turn("bob"), turn("cid"))
            await one.abort(turn("aborted between"))
            await produce(small, "interactions", turn("dan"))
            await decided(small, "ann", "bob", "cid", "dan")
            await one.abort(turn("aborted at the end"))
            end = await lag_is_zero(small, reader, admin, small.group, "interactions")
            assert end == 13, "five records seen, four aborted, five markers"
            # Markers on a topic that agents write hold up nobody either.
            await one.abort(turn("stranger"), topic="modulations")
            await one.abort(turn("stranger"), topic="audits")
            await one.abort(turn("stranger"), topic="journal")

            await other.producer.begin_transaction()
            await other.send(turn("open"))
            await produce(small, "interactions", turn("behind the open one"))
            begun = time.monotonic()
            signal = {"identity": "eve", "name": "alignment_risk", "level": 0.9, "ts": 1_700_000_001.0}
            await produce(small, "signals", signal | {"source": "test", "ttl_s": 600})
            await lag_is_zero(small, reader, admin, small.group, "signals")
            assert time.monotonic() - begun < 30
            await decided(small, "ann", "bob", "cid", "dan")
            # Commands end while a transaction is open, and see what is committed.
            assert (await verified(small)).proved
            await endocrine(small, "export", "interactions", "--output", str(tmp_path / "open.jsonl"))
            exported = [json.loads(line)["key"] for line in (tmp_path / "open.jsonl").open()]
            assert exported == ["ann", "bob", "cid", "dan"]
            await other.producer.commit_transaction()
            await decided(small, "ann", "bob", "cid", "dan", "open", "behind the open one")
            await lag_is_zero(small, reader, admin, small.group, "interactions")
        # A successor goes on where nothing but markers lies ahead.
        async with worker_in_process(small, AGENTS, shipped_policy()):
            await one.commit(turn("fay"))
            await decided(small, "ann", "bob", "cid", "dan", "open", "behind the open one", "fay")
            await lag_is_zero(small, reader, admin, small.group, "interactions")
    report = await verified(small)
    assert report.proved, (report.findings, report.not_verifiable)
    assert report.compared > 10
    audited = await endocrine(small, "audit", "verify", "--json")
    assert json.loads(audited)["findings"] == [], audited
    assert await endocrine(small, "dlq", "list") is not None
    assert "modulation" in await endocrine(
        small, "state", "--at", str(time.time()), "--agent", "modulation", "--format", "json"
    )
    await endocrine(small, "snapshot", str(tmp_path / "snapshot"), "--json")


@pytest.mark.usefixtures("only_needed_topics")
async def test_a_missing_record_at_the_start_is_still_missed_where_an_aborted_batch_lies_before_it(small):
    """What is gone by retention is known by where the broker says that the log begins."""
    modulation = agents_named("modulation")
    await ensure_topics(small, ["modulation"])
    async with transactions(small) as one:
        await one.abort(turn("x"), topic="modulations")
        async with worker_in_process(small, modulation, shipped_policy()):
            await produce(small, "interactions", turn("ann"))
            await decided(small, "ann")
    logs = await read_logs(small, ["modulations", "interactions"])
    assert logs["modulations", 0].start == 0
    assert [raw.offset for raw in logs["modulations", 0]] == [2]


class Echo:
    """An effect that answers at once."""

    name = TOY
    requests = "model-requests"
    answers = "model-replies"

    def request_id(self, value: dict[str, Any]) -> str | None:
        return str(value["request_id"])

    def answer_id(self, value: dict[str, Any]) -> str | None:
        return value.get("request_id")

    def repeatable(self, value: dict[str, Any]) -> bool:
        return False

    async def run(self, request: Request) -> list[EffectRecord]:
        value = request.value
        reply = {"request_id": value["request_id"], "audit_id": value["audit_id"], "identity": value["identity"]}
        said = {"step": 1, "status": "ok", "content": "x", "tool_calls": [], "finish_reason": "stop", "usage": None}
        return [
            EffectRecord("model-replies", {**reply, **said, "model": "m", "latency_ms": 1.0, "error": None, "ts": 1.0})
        ]

    def failed(self, request: Request, error: str) -> list[EffectRecord]:
        raise AssertionError(error)


def request(name: str) -> dict[str, Any]:
    asked = {"messages": [], "tools": [], "parameters": {}, "dropped": [], "deadline_ms": 10_000}
    return {"request_id": name, "audit_id": "t1", "identity": "ann", "step": 1, "model": "none", **asked, "ts": 1.7e9}


async def test_a_connector_runs_what_is_committed_and_commits_beyond_the_markers(small, reader, admin):
    await ensure_topics(small, [])
    async with transactions(small) as one:
        await one.abort(request("aborted"), topic="model-requests")
        await one.abort(request("answer by nobody"), topic="model-replies")
        await one.commit(request("first"), topic="model-requests")
        async with running(small, Echo()):
            await one.abort(request("aborted again"), topic="model-requests")
            await one.commit(request("second"), topic="model-requests")
            found = await answers(small, "model-replies", 3)  # it sees the aborted one too
            assert await lag_is_zero(small, reader, admin, f"{small.group}.{TOY}", "model-requests") == 8
    told = [orjson.loads(raw.value) for raw in found]
    assert [value["request_id"] for value in told if "status" in value] == ["first", "second"]


async def test_the_timekeeper_is_ready_beside_open_transactions_and_markers_at_the_end(small):
    await ensure_topics(small, [])
    async with transactions(small) as one, transactions(small) as other:
        await one.commit(turn("ann"))
        await other.producer.begin_transaction()
        await other.send(turn("open"))
        await one.abort(request("x"), topic="model-requests")
        keeper = Timekeeper(small, Waits(1.0, 1.0, 1.0, 1.0, 5.0))
        life = asyncio.create_task(keeper.run())
        await asyncio.wait_for(keeper.ready.wait(), 30)
        keeper.stop()
        await life
        assert keeper.failure is None
        await other.producer.abort_transaction()


async def test_a_view_is_settled_and_caught_up_beyond_markers(small):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    async with transactions(small) as one, worker_in_process(small, AGENTS, shipped_policy()):
        await one.commit(turn("ann"))
        await one.abort(turn("x"), topic="modulations")
        seen: list[Any] = []
        watcher = Watcher(small, AGENTS, seen.append, whole=True)
        await watcher.start()
        life = asyncio.create_task(watcher.run())
        async with asyncio.timeout(120):
            await watcher.settled()
            await watcher.caught_up()
        life.cancel()
        await asyncio.wait([life])
        await watcher.stop()
        assert [value["identity"] for value in await values(small, "modulations")] == ["ann"]


async def test_aborted_records_reach_no_read_model(small, reader, admin):
    await ensure_topics(small, [])
    style = {"identity": "ann", "ts": 1.0}
    async with transactions(small) as one:
        await one.abort(style, topic="style-tables")
        projection = Projection(small)
        life = asyncio.create_task(projection.run())
        try:
            await lag_is_zero(small, reader, admin, f"{small.group}.projection", "style-tables")
        finally:
            await projection.stop()
            await life
    async with Store(small) as store:
        assert await store.positions([f"{small.prefix}style-tables/0"]) is not None


def test_identities_of_these_tests_lie_on_one_partition():
    assert partition_of("ann", 1) == 0
