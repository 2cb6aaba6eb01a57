"""Audits on a broker: each turn is said once, in an unbroken chain, and `endocrine explain` shows it."""

import asyncio
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import explain as explain_command
from endocrine.pipeline.core.hash_chain import link_hash
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_logs
from running import at_rest, worker_in_process

COMMANDS = typer.Typer()
COMMANDS.callback()(lambda: None)
explain_command.register(COMMANDS)
STEP_BY_STEP = "ann"
"""Whose story is told line by line, so that it is decided as in `simulate`; the others' lines run ahead."""


BEGAN: list[float] = []
"""When the scenario was fed last, seconds since 1970."""


def moment(seconds: int) -> str:
    """So many seconds after the story began."""
    first = next(scenario.live(line, 0, BEGAN[-1])["value"]["ts"] for line in scenario.lines())
    return datetime.fromtimestamp(int(first) + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
async def told(settings: Settings) -> Settings:
    """The scenario, fed without waiting for what comes of it, on two partitions."""
    settings = settings.model_copy(update={"partitions": 2})
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            await producer.start()
            BEGAN.append(float(int(time.time())))
            for line in scenario.lines():
                value = scenario.live(line, 0, BEGAN[-1])["value"]
                key = value.get("identity") or value["identity_ref"]
                await producer.send_and_wait(settings.prefix + line["topic"], orjson.dumps(value), key.encode())
                if key == STEP_BY_STEP:
                    await at_rest(worker, consumer)
            await at_rest(worker, consumer)
    finally:
        await producer.stop()
        await consumer.stop()
    return settings


async def explain(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command, in a thread of this process: it takes a second to start one."""
    env = {
        "ENDOCRINE_PREFIX": settings.prefix,
        "ENDOCRINE_PARTITIONS": str(settings.partitions),
        "ENDOCRINE_BOOTSTRAP": settings.bootstrap,
    }
    done = await asyncio.to_thread(CliRunner().invoke, COMMANDS, ["explain", *arguments], env=env)
    return done.exit_code, done.stdout, done.stderr


async def explain_as_a_process(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """The same as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "endocrine.pipeline.cli",
        "explain",
        *arguments,
        "--bootstrap",
        settings.bootstrap,
        env={**os.environ, "ENDOCRINE_PREFIX": settings.prefix, "ENDOCRINE_PARTITIONS": str(settings.partitions)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.slow
async def test_every_turn_that_closed_has_one_bundle_in_an_unbroken_chain_and_can_be_explained(told: Settings) -> None:
    logs = await read_logs(told, ["audits"])
    bundles: list[dict[str, Any]] = []
    for log in logs.values():
        previous = None
        for raw in log:
            record = orjson.loads(raw.value)
            assert record["previous"] == previous
            assert link_hash(record) == record["hash"]
            previous = record["hash"]
            bundles.append(record)
    closed = {line["value"]["audit_id"] for line in scenario.lines() if line["value"].get("kind") == "closed"}
    said = Counter(bundle["audit_id"] for bundle in bundles if bundle["supplement"] == 0)
    assert {audit_id: said[audit_id] for audit_id in closed} == dict.fromkeys(closed, 1)
    assert {bundle["status"] for bundle in bundles} <= {"closed", "refused", "supplement"}
    await _explained(told)


async def _explained(told: Settings) -> None:
    found = await explain_as_a_process(told, "ann-turn-3")
    at = await explain(told, "--identity", "ann", "--at", moment(33))
    as_json = await explain(told, "ann-turn-3", "--format", "json")
    page = await explain(told, "ann-turn-3", "--format", "html")
    nobody = await explain(told, "no-such-turn")
    nothing = await explain(told, "--identity", "nobody", "--at", moment(33))
    gap = await explain(told, "--identity", "ann", "--at", moment(26))
    wrong = await explain(told, "ann-turn-3", "--at", "12")
    code, out, err = found
    assert (code, err.splitlines()[1:]) == (0, [])  # the first line names the broker
    for words in ("Turn ann-turn-3 of ann: closed", "urgency", "open_url", "not on the allowlist", "in batch gating/"):
        assert words in out
    assert at[1] == out
    explained = orjson.loads(as_json[1])
    assert explained["bundle"]["audit_id"] == "ann-turn-3"
    assert explained["altered"] == []
    assert {one["topic"] for one in explained["decided"]} == {"modulations", "tool-decisions", "incidents", "audits"}
    assert all(one["cut"] and one["version"] and one["policy"] for one in explained["decided"])
    assert page[1].startswith("<!doctype html>")
    assert "ann-turn-3" in page[1]
    assert nobody[0] == nothing[0] == gap[0] == 1
    assert "turn 'no-such-turn' has no bundle among the" in nobody[2]
    assert f"{told.prefix}audits at {told.bootstrap}" in nobody[2]
    assert "there is no bundle of 'nobody'" in nothing[2]
    assert "ann-turn-2 had ended at" in gap[2]
    assert "ann-turn-3 began at" in gap[2]
    assert wrong[0] == 2
    assert "--identity ID together with --at TIME" in wrong[2]


async def test_records_that_do_not_fit_their_hash_or_are_no_bundles_are_told(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 1})
    await ensure_topics(settings, [])
    simulation = Simulation(AGENTS, shipped_policy(), version="0", sizes=Sizes(), partitions=1)
    said = [derived for line in scenario.lines() for derived in simulation.feed(orjson.dumps(line))]
    bundle = next(orjson.loads(value or b"") for topic, _, value, _ in said if topic == "audits")
    forged = {**bundle, "mode": "creative"}
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    for value in (forged, {**bundle, "audit_id": "twice"}, {**bundle, "audit_id": "twice", "identity": "bob"}):
        await producer.send_and_wait(settings.prefix + "audits", orjson.dumps(value), value["identity"].encode())
    await producer.send_and_wait(settings.prefix + "audits", b'{"audit_id":"half"}', b"ann")
    await producer.stop()
    altered, twice, half = [await explain(settings, name) for name in (bundle["audit_id"], "twice", "half")]
    assert altered[0] == 1
    assert "WARNING: 1 record(s) below do not fit their own hash" in altered[1]
    assert "no longer there" in altered[1]
    assert twice[0] == 1
    assert "turn 'twice' is an id of 'ann', 'bob'; say whose with --identity" in twice[2]
    assert half[0] == 1
    assert "among the 4 in" in half[2]
    assert "(1 records there are not bundles)" in half[2]


async def test_a_broker_that_is_not_there_is_an_error_that_names_it(settings: Settings) -> None:
    code, _, err = await explain_as_a_process(settings.model_copy(update={"bootstrap": "127.0.0.1:1"}), "t1")
    assert code == 2
    assert "127.0.0.1:1" in err
    assert "Traceback" not in err
