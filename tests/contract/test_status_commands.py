"""`endocrine lag` and `endocrine incidents` on a broker where a worker lives."""

import asyncio
import json
import os
import sys
import time

from aiokafka import AIOKafkaConsumer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.views.status.lag import read_lag
from endocrine.pipeline.views.status.presence import group_members, missing_parts
from running import at_rest, worker_in_process


def opened(turn):
    value = {"kind": "opened", "audit_id": turn, "identity": "ann", "session_id": "s", "turn": 0, "client": "c"}
    return {"topic": "interactions", "value": {**value, "prompt": "x", "ts": time.time()}}


def call(turn):
    value = {
        "call_id": f"{turn}-c",
        "audit_id": turn,
        "identity": "ann",
        "tool": "schedule_task",
        "step": 1,
        "ts": time.time(),
    }
    return {"topic": "tool-calls", "value": {**value, "arguments": {"when": "now", "note": "n"}}}


async def command(settings, *words):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "endocrine.pipeline.cli", *words, "--bootstrap", settings.bootstrap,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={
            "ENDOCRINE_PREFIX": settings.prefix, "ENDOCRINE_PARTITIONS": "2", "ENDOCRINE_GROUP": settings.group,
            "ENDOCRINE_DATA_DIR": str(settings.data_dir),
            **{name: value for name, value in os.environ.items() if name.startswith("ENDOCRINE_KAFKA_")},
        },
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode, out.decode(), err.decode()


async def test_lag_is_what_is_not_read_and_incidents_are_listed(settings):
    small = settings.model_copy(update={"partitions": 2})
    consumer = AIOKafkaConsumer(bootstrap_servers=small.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(small, AGENTS, shipped_policy()) as worker:
            await produce([opened("t1"), call("t1")], small)
            await at_rest(worker, consumer)
            assert {row.lag for row in await read_lag(small, AGENTS)} == {0}
            missing = missing_parts(small.group, await group_members(small))
            assert [line.split()[1] for line in missing] == ["model", "tool", "timekeeper"]
    finally:
        await consumer.stop()
    await produce([opened("t2")], small)
    behind = {row.agent for row in await read_lag(small, AGENTS) if row.lag}
    assert behind == {agent.name for agent in AGENTS if "interactions" in agent.sources}
    code, out, _ = await command(small, "lag")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert (code, header) == (0, ["agent", "lag", "partition 0", "partition 1", "of topics"])
    assert {row[0] for row in rows if row[4] == "interactions 1"} == behind
    code, out, err = await command(small, "incidents", "--json")
    assert code == 0, err
    (incident,) = [json.loads(line) for line in out.splitlines()]
    assert (incident["kind"], incident["audit_id"], incident["attempted"]) == ("tool_blocked", "t1", "schedule_task")
    code, out, _ = await command(small, "incidents", "--identity", "nobody")
    assert (code, out) == (0, "0 incidents\n")
