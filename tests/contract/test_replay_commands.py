"""The replay commands against a broker on which a worker has lived."""

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.main import app
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.snapshot import take_snapshot
from endocrine.pipeline.replay.state_files import Snapshots, read_manifest
from running import at_rest, worker_in_process
from waiting import until


async def live(settings: Settings, snapshot: Path) -> int:
    """Two stretches of life with a snapshot between them, the worker running; the moment between, in milliseconds."""
    lines = [orjson.dumps(line) for line in histories.random_history(random.Random(2), 240)]
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            for part in (lines[:120], lines[120:]):
                for line in part:
                    topic, key, value, headers, _ = parse_line(line)
                    sent = [(name, content.encode()) for name, content in headers.items()]
                    named = None if key is None else key.encode()
                    await producer.send_and_wait(settings.prefix + topic, value, key=named, headers=sent)
                await at_rest(worker, consumer)
                if part[0] == lines[0]:
                    await take_snapshot(settings, snapshot, [agent.name for agent in AGENTS], version="test")
                    moment = int(time.time() * 1000) + 2  # after what was produced, before what will be
                    await until(lambda moment=moment: time.time() * 1000 > moment + 2)
    finally:
        await producer.stop()
        await consumer.stop()
    return moment


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bootstrap", "prefix", "partitions"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(settings, name)))


def call(*words: str) -> tuple[int, str, str]:
    import importlib

    from endocrine.pipeline.cli.main import COMMANDS

    if not app.registered_commands:
        for name in COMMANDS:
            if importlib.util.find_spec(f"endocrine.pipeline.cli.{name}"):
                importlib.import_module(f"endocrine.pipeline.cli.{name}").register(app)
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
async def test_a_run_is_proved_in_parts_from_a_live_snapshot_and_onto_fresh_topics(
    settings: Settings, tmp_path: Path, environment: None
) -> None:
    small = settings.model_copy(update={"partitions": 2})
    moment = await live(small, tmp_path / "snapshot")
    whole = await verified(small)
    assert whole.proved, (whole.findings, whole.not_verifiable)
    late = await verified(small, Scope(since_ms=moment), snapshot=tmp_path / "snapshot")
    assert late.proved, (late.findings, late.not_verifiable)
    early = await verified(small, Scope(until_ms=moment))
    assert early.proved, (early.findings, early.not_verifiable)
    assert 0 < late.compared < whole.compared == early.compared + late.compared
    assert any(told.startswith("the snapshot") for told in late.starts.values())
    manifest = read_manifest(tmp_path / "snapshot")
    assert Snapshots(tmp_path).of("modulation/0")[0].batch == manifest["units"]["modulation/0"]["batch"]
    await again(small)
    await asyncio.to_thread(commands, small, moment, tmp_path)


def unsealed(raw: Any) -> tuple[Any, ...]:
    """The headers without the seal: it holds for a topic's own name."""
    return tuple(header for header in raw.headers if header[0] != "endocrine-seal")


async def again(small: Settings) -> None:
    """What is made again onto fresh topics is, as a set, what stands on the live ones."""
    prefix = small.prefix + "again."
    report = await verified(small, to_topics=prefix)
    fresh = small.model_copy(update={"prefix": prefix})
    topics = ["modulations", "tool-decisions", "audits", "incidents", "interactions.dlq"]
    ours, theirs = await read_logs(fresh, topics), await read_logs(small, topics)
    for place, log in theirs.items():
        forms = [{(raw.key, raw.value, unsealed(raw)) for raw in one} for one in (log, ours[place])]
        assert forms[0] == forms[1]
    total = sum(map(len, (await read_logs(fresh, ["modulations"])).values()))
    assert 0 < total < report.compared


def commands(small: Settings, moment: int, folder: Path) -> None:
    """The same by the command line."""
    import os

    os.environ["ENDOCRINE_PARTITIONS"] = "2"
    code, out, err = call("replay", "verify", "--json", "--resume", str(folder / "note"))
    assert code == 0, (out, err)
    told = json.loads(out)
    assert told["proved"]
    assert told["compared"] == told["equal"] > 100
    assert call("replay", "verify", "--resume", str(folder / "note"))[0] == 0
    code, _, err = call("replay", "verify", "--resume", str(folder / "note"), "--identity", "ann")
    assert code == 2
    assert "another verification" in err
    assert call("replay", "verify", "--identity", "ann", "--topic", "modulations")[0] == 0
    code, _, err = call("replay", "verify", "--to-topics", small.prefix)
    assert code == 2
    assert "fresh topics" in err
    code, out, err = call("state", "--at", str(moment / 1000), "--agent", "modulation", "--format", "json")
    assert code == 0, err
    assert {json.loads(line)["agent"] for line in out.splitlines()} == {"modulation"}
    snapped = folder / "later"
    code, out, err = call("snapshot", str(snapped), "--json")
    assert code == 0, err
    assert json.loads(out)["units"]
    assert call("snapshot", str(snapped))[0] == 2
    policy = folder / "policy.yaml"
    policy.write_text("defaults:\n  temperature: 0.1\n")
    code, out, err = call("replay", "what-if", "--policy", str(policy), "--json")
    assert code == 0, err
    assert json.loads(out)["topics"]["modulations"]["changed"] > 0
    assert call("replay", "verify", "--from", "yesterday")[0] == 2


def test_a_broker_that_is_not_there_is_one_line_after_the_one_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = call("replay", "verify", "--bootstrap", "127.0.0.1:1")
    assert code == 2
    named, error = err.splitlines()
    assert named == "broker 127.0.0.1:1 (from --bootstrap)"
    assert error.startswith("error: no Kafka broker answers at 127.0.0.1:1;")
