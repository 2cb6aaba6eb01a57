"""A deployment on another number of partitions, on a broker: what goes on there decides as it would have before."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import repartition
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.data.backup.consistent_cut import read_cut
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.audit_chain.broker import verify
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.replay.state_files import backup_of
from running import at_rest, worker_in_process

PLACED = ("interactions", "signals", "tool-calls", "tool-results", "feedback", "observations", "detections", "commands")
OWN = {"tools", ""}
"""Keys of states that are a partition's own."""


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    await made.start()
    yield made
    await made.stop()


async def feed(producer: AIOKafkaProducer, settings: Settings, lines: list[bytes]) -> None:
    for line in lines:
        topic, key, value, headers, _ = parse_line(line)
        sent = [(name, content.encode()) for name, content in headers.items()]
        await producer.send(settings.prefix + topic, value, key=None if key is None else key.encode(), headers=sent)
    await producer.flush()


def topic_of(line: bytes) -> str:
    return str(orjson.loads(line)["topic"])


async def live(producer: AIOKafkaProducer, settings: Settings, lines: list[bytes]) -> None:
    """Let a worker read them, topic by topic: two topics have no common order, and another one may decide otherwise."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            for _, some in groupby(sorted(lines, key=topic_of), topic_of):
                await feed(producer, settings, list(some))
                await at_rest(worker, consumer)
            await at_rest(worker, consumer)
    finally:
        await consumer.stop()


async def decided(settings: Settings) -> set[Any]:
    """Every modulation and tool decision, by id and content."""
    logs = await read_logs(settings, ["modulations", "tool-decisions"])
    return {(topic, dict(raw.headers)["ce_id"], raw.value) for (topic, _), log in logs.items() for raw in log}


async def states(settings: Settings) -> dict[tuple[str, str], bytes]:
    """The state of each key, whichever partition it is on."""
    cut = await read_cut(settings, [agent.name for agent in AGENTS])
    return {
        (name.partition("/")[0], key): state
        for name, unit in cut.items()
        for key, state in unit.states.items()
        if key not in OWN
    }


def call(*words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    repartition.register(app)
    result = CliRunner().invoke(app, ["repartition", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
async def test_a_deployment_on_more_partitions_has_each_keys_state_and_goes_on_deciding_as_before(
    settings: Settings, producer: AIOKafkaProducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bootstrap", "prefix", "partitions", "group"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(settings, name)))
    # A misrouted record is forwarded, and when it comes back depends on the partition it was on.
    history = histories.random_history(random.Random(8), 200, well_placed=PLACED)
    lines = [orjson.dumps(line) for line in history]
    await live(producer, settings, lines[:120])
    other = settings.model_copy(
        update={
            "prefix": f"{settings.prefix}wide.",
            "group": f"{settings.group}wide",
            "partitions": settings.partitions + 3,
        }
    )
    words = ("--to", other.prefix, "--partitions", str(other.partitions), "--dir", str(tmp_path / "backups"), "--json")
    code, _, err = await asyncio.to_thread(call, *words)
    assert (code, "--confirm-workers-stopped" in err) == (2, True), err
    await feed(producer, settings, lines[120:122])
    code, _, err = await asyncio.to_thread(call, *words, "--confirm-workers-stopped")
    assert (code, "not drained: " in err) == (1, True), err
    await live(producer, settings, [])
    code, out, err = await asyncio.to_thread(call, *words, "--confirm-workers-stopped")
    assert code == 0, (out, err)
    answer = orjson.loads(out)
    assert (answer["verified"], answer["partitions"]) == (True, other.partitions)
    assert await states(other) == await states(settings)
    assert await decided(other) == await decided(settings)
    await live(producer, other, lines[122:])
    await live(producer, settings, lines[122:])
    assert {entry[:2] for entry in await decided(other)} == {entry[:2] for entry in await decided(settings)}
    report = await verified(other, snapshot=Path(answer["snapshot"]))
    assert report.proved, (report.findings, report.not_verifiable, report.differences[:3])
    assert report.batches > 0
    chains = await verify(other, {}, restored_from={backup_of(Path(answer["snapshot"]))})
    assert chains.sound, chains.findings
