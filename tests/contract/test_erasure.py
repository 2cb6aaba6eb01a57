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
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import erase as erase_command
from endocrine.pipeline.cli import replay as replay_command
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from running import at_rest, worker_in_process

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
