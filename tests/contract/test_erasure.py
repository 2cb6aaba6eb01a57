"""`endocrine erase` on a broker with a worker and a projection: what is gone, what the receipt says is left, replay."""

import asyncio
import json
import random

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

import histories
import memory_histories
from canary import Canary, in_redis, on_topics
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import erase as erase_command
from endocrine.pipeline.cli import replay as replay_command
from endocrine.pipeline.data.backup.create import create
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.admin import ensure_topics
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


LEFT_IN_BACKUPS = {"topics/audits"}
"""Topics of a backup made after an erasure that may still hold the subject (docs/erasure.md)."""


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
                              "images", "identity-links", "signals.dlq", "audits", "trusted-states"}  # fmt: skip
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
            # Proofs and what the erasure itself put on record name it; no state, and nothing of what it wrote.
            assert {name.rpartition("-")[0] for name in holding} <= LEFT_IN_BACKUPS, holding
            await at_rest(worker, consumer)
        kept = {path for path in tmp_path.rglob("*") if path.is_file() and "backups" not in path.parts}
        assert not [path for path in kept if canary.found_in(path.read_bytes())]
    finally:
        await projection.stop()
        await projecting
        await consumer.stop()
