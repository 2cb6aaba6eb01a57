"""`endocrine erase` on a broker with a worker and a projection: what is gone, what the receipt says is left, replay."""

import asyncio
import json
import random
import secrets
import time

import orjson
import pytest
import redis.asyncio as redis
import typer
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

import histories
import memory_histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import erase as erase_command
from endocrine.pipeline.cli import replay as replay_command
from endocrine.pipeline.core.outbox import decode_outbox
from endocrine.pipeline.data.backup.create import create
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.redis.consumer import Projection
from running import at_rest, worker_in_process
from waiting import until

app = typer.Typer()
for module in (erase_command, replay_command):
    module.register(app)


@app.command("nothing")
def nothing() -> None:
    """A second command, so that the first is named."""


@pytest.fixture
def small(settings, monkeypatch):
    """Settings that the commands find in the environment too."""
    small = settings.model_copy(update={"partitions": 2})
    for name in ("prefix", "partitions", "bootstrap", "group"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(small, name)))
    return small


async def command(*words):
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.slow
async def test_an_erasure_is_planned_carried_out_and_reproduced_by_replay(small, tmp_path):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    consumer = AIOKafkaConsumer(bootstrap_servers=small.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(small, AGENTS, shipped_policy()) as worker:
            rng = random.Random(5)
            lines = [line for line in histories.random_history(rng, 80) if "key" not in line]
            lines += memory_histories.memory_history(rng, 80)
            good = [line for line in lines if isinstance(line.get("value"), dict) and line["value"].get("identity")]
            await produce(good, small)
            await at_rest(worker, consumer)
            code, out, err = await command("erase", "ann", "--json")
            planned = json.loads(out)
            assert (code, planned["dry_run"], "bonds" in planned["states"]) == (0, True, True), err
            code, out, err = await command("erase", "ann", "--yes", "--json", "--report", str(tmp_path))
            assert code == 0, err
            receipt = json.loads(out)
            assert receipt["states"].keys() >= planned["states"].keys()
            assert b"ann" not in orjson.dumps(receipt)
            await at_rest(worker, consumer)
            code, out, err = await command("erase", "ann", "--json")
            assert json.loads(out)["states"] == {}, err
            code, out, err = await command("replay", "verify", "--json")
            assert code == 0, out + err
    finally:
        await consumer.stop()


class Canary:
    """A subject, and a text that every field of content of its records holds."""

    def __init__(self):
        mark = secrets.token_hex(6)
        self.text, self.name, self.other = f"canary{mark}", f"who-{mark}", f"other-{mark}"
        self.project = f"p-{mark}"
        self.needles = self.text.encode(), self.name.encode()

    def lines(self):
        """What doors and people write about it, and what is wrong."""
        now, text, count = time.time() - 100.0, self.text, 0
        lines = []

        def add(topic, **value):
            nonlocal count
            count += 1
            whose = {} if topic == "observations" else {"identity": self.name}
            named = f"in-{count}-{text if value.get('identity_ref') != self.other else self.other}"
            lines.append({"topic": topic, "value": {"id": named, "ts": now + count, **whose, **value}})

        def command(kind, **value):
            add("commands", kind=kind, by="op", **value)

        def seen(whose, primitive, value):
            add("observations", identity_ref=whose, primitive=primitive, value=value, confidence=0.9, source="test",
                v=1, window={"start_ts": now, "end_ts": now + 1})  # fmt: skip

        turn = {"audit_id": f"turn-{text}"}
        add("interactions", **turn, kind="opened", session_id=f"s-{text}", turn=1, client="c", project=self.project,
            prompt=f"{text} asks", context_pack=text)  # fmt: skip
        add("tool-calls", **turn, call_id=f"call-{text}", tool="search", arguments={"query": text}, step=1)
        add("tool-results", **turn, call_id=f"call-{text}", tool="search", status="ok", duration_ms=3,
            args_summary=text, output=text)  # fmt: skip
        add(
            "interactions",
            **turn,
            kind="closed",
            response=f"## Decision: pad: {text}",
            response_summary=text,
            usage={"input_tokens": 3, "output_tokens": 4},
        )
        add("feedback", target_action_id=turn["audit_id"], rating=5, note=text, tags=[text])
        add("signals", name="stress", level=0.4, ttl_ms=1000, source=text)
        add("detections", phase=text[:20], risk_level="low", turn_count=1, ulm={text: 0.5})
        command("add_note", text=text)
        command("state_set", category="fact", key="town", value=text)
        command("memory_create", type="knowledge", content=f"{text} likes tea", slot="pad")
        command("memory_create", type="knowledge", content=f"{text} likes oak", slot="pad")
        command("memory_extract", identity=f"project:{self.project}", audit_id=turn["audit_id"],
                text=f"## Fact: the pad is {text}", project=self.project, turn_identity=self.name)  # fmt: skip
        for whose in (self.name, self.other):
            seen(whose, "toolchain.tls.jarm_server", "shown by both")
        seen(self.name, "motor.input_modality", text)
        add("signals", name=text, level="much")  # a dead letter
        return lines

    async def also_memories(self, settings):
        """From here on the ids of memories of its project, which are from it alone, count as well."""
        async for _, _, records in batches(settings, ["candidates"]):
            for raw in records:
                if self.found_in(raw.value):
                    self.needles += (orjson.dumps(orjson.loads(raw.value)["memory_id"]),)

    def found_in(self, *contents):
        return any(needle in content for needle in self.needles for content in contents if content)


async def on_topics(settings, canary):
    """Topic, partition and offset of every record that holds it: key, value, headers, and outboxes of changelogs."""
    names = [topic.name.removeprefix(settings.prefix)
             for topic in physical_topics(settings, [agent.name for agent in AGENTS])]  # fmt: skip
    found = set()
    async for topic, partition, records in batches(settings, names):
        for raw in records:
            contents = [raw.key, raw.value, *(content for _, content in raw.headers)]
            if topic.startswith("changelog.") and raw.key[:1] == b"o" and raw.value:
                contents += [
                    part
                    for one in decode_outbox(raw.value).records
                    for part in (one.key, one.value, *(content for _, content in one.own))
                ]
            if canary.found_in(*contents):
                found.add((topic, partition, raw.offset))
    return found


async def in_redis(url, canary):
    """Keys of Redis that hold it."""
    found = set()
    async with redis.from_url(url, db=12) as client:
        async for key in client.scan_iter(count=1000):
            if canary.found_in(key, await client.dump(key)):
                found.add(key)
    return found


@pytest.mark.slow
async def test_what_still_holds_a_canary_after_its_erasure_is_what_the_receipt_says(
    small, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("ENDOCRINE_REDIS_URL", small.redis_url)
    await ensure_topics(small, [agent.name for agent in AGENTS])
    canary = Canary()
    consumer = AIOKafkaConsumer(bootstrap_servers=small.bootstrap)
    await consumer.start()
    projection = Projection(small)
    projecting = asyncio.create_task(projection.run())
    try:
        async with worker_in_process(small, AGENTS, shipped_policy()) as worker:
            await produce(canary.lines(), small)
            await at_rest(worker, consumer)
            before = {topic for topic, _, _ in await on_topics(small, canary)}
            assert before >= {"memories", "bonds", "captured", "candidates", "changelog.memory", "changelog.meeting",
                              "identity-links", "signals.dlq", "audits", "trusted-states"}, before  # fmt: skip
            await until(lambda: in_redis(small.redis_url, canary))
            code, out, err = await command("erase", canary.name, "--yes", "--json")
            assert code == 0, err
            receipt = json.loads(out)
            await canary.also_memories(small)
            held = await on_topics(small, canary)
            assert {topic for topic, _, _ in held} == receipt["topics"].keys()
            for topic, about in receipt["topics"].items():
                assert about["records"] == sum(one[0] == topic for one in held), topic
                assert about["until"] > receipt["at"], topic
            assert {about["goes_by"] for about in receipt["topics"].values()} == {"retention", "compaction"}
            assert await in_redis(small.redis_url, canary) == set()
            assert not canary.found_in(orjson.dumps(receipt), caplog.text.encode())
            stamp, _ = await create(small, tmp_path / "backups", version="test")
            files = {path.relative_to(tmp_path / "backups" / stamp).as_posix(): path.read_bytes()
                     for path in (tmp_path / "backups" / stamp).rglob("*") if path.is_file()}  # fmt: skip
            holding = {name for name, content in files.items() if canary.found_in(content)}
            assert holding, "retained content is in a backup made before retention takes it"
            assert {name.partition("/")[0] for name in holding} == {"topics"}, "no state of it is in a backup"
            backed_up = {name.removeprefix("topics/").rpartition("-")[0] for name in holding}
            assert backed_up <= receipt["topics"].keys()
            await at_rest(worker, consumer)
        kept = {path for path in tmp_path.rglob("*") if path.is_file() and "backups" not in path.parts}
        assert not [path for path in kept if canary.found_in(path.read_bytes())]
    finally:
        await projection.stop()
        await projecting
        await consumer.stop()
