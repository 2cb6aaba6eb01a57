"""Backups on a broker: made while a worker lives, restored to another prefix, gone on from there, and proved."""

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import backup
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.data.backup.bundle import validate
from endocrine.pipeline.data.backup.create import create
from endocrine.pipeline.data.backup.marker import marked_in
from endocrine.pipeline.data.backup.restore import RestoreRefused, refuse_members, restore
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.audit_chain.broker import verify
from endocrine.pipeline.replay.logs import read_logs
from endocrine.pipeline.replay.state_files import backup_of
from running import at_rest, worker_in_process
from waiting import until


async def feed(settings: Settings, lines: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    await producer.start()
    try:
        for line in lines:
            topic, key, value, headers, _ = parse_line(line)
            sent = [(name, content.encode()) for name, content in headers.items()]
            named = None if key is None else key.encode()
            await producer.send(settings.prefix + topic, value, key=named, headers=sent)
        await producer.flush()
    finally:
        await producer.stop()


async def live(settings: Settings, lines: list[bytes]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            await feed(settings, lines)
            await at_rest(worker, consumer)
    finally:
        await consumer.stop()


async def decided(settings: Settings) -> list[Any]:
    """The audit ids of all modulations, copies once each."""
    logs = await read_logs(settings, ["modulations"])
    found = {dict(raw.headers)["ce_id"] for log in logs.values() for raw in log}
    return sorted(found)


@pytest.mark.slow
async def test_what_was_restored_goes_on_with_what_was_unread_and_replay_proves_it(
    settings: Settings, tmp_path: Path
) -> None:
    lines = [orjson.dumps(line) for line in histories.random_history(random.Random(2), 240)]
    await live(settings, lines[:120])
    await feed(settings, lines[120:160])  # nobody reads these before the backup
    stamp, verdict = await create(settings, tmp_path / "backups", version="test")
    assert verdict == {"valid": True, "errors": []}
    folder = tmp_path / "backups" / stamp
    with pytest.raises(RestoreRefused, match="holds records"):
        await restore(settings, folder, settings.prefix)
    second = settings.model_copy(update={"prefix": settings.prefix + "b.", "group": settings.group + "b"})
    done = await restore(settings, folder, second.prefix, group=second.group)
    assert done.verified
    assert done.states > 0
    _, again = await create(second, tmp_path / "again", version="test")  # before its units make their first batch
    assert again["valid"]
    await live(second, lines[160:])
    report = await verified(second, snapshot=done.snapshot)
    assert report.proved, (report.findings, report.not_verifiable, report.differences[:3])
    assert report.batches > 0
    chains = await verify(second, {}, restored_from={backup_of(done.snapshot)})
    assert chains.sound, chains.findings
    assert not (await verify(second, {})).sound  # a journal that names what nobody gave
    await live(settings, lines[160:])
    assert await decided(second) == await decided(settings)


@pytest.mark.slow
async def test_a_backup_made_under_load_is_a_consistent_cut(settings: Settings, tmp_path: Path) -> None:
    lines = [orjson.dumps(line) for line in histories.random_history(random.Random(3), 400)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            with pytest.raises(RestoreRefused, match="has members"):
                await refuse_members(settings)
            feeding = asyncio.create_task(feed(settings, lines))
            stamp, verdict = await create(settings, tmp_path / "backups", version="test")
            await feeding
            await at_rest(worker, consumer)
    finally:
        await consumer.stop()
    assert verdict["valid"]
    folder = tmp_path / "backups" / stamp
    second = settings.model_copy(update={"prefix": settings.prefix + "b.", "group": settings.group + "b"})
    done = await restore(settings, folder, second.prefix, group=second.group)
    assert done.verified
    await live(second, lines)  # producers send again what they are not sure of: ids are the same
    report = await verified(second, snapshot=done.snapshot)
    assert report.proved, (report.findings, report.not_verifiable, report.differences[:3])
    victim = next(path for path in sorted((folder / "topics").iterdir()) if path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    assert validate(folder)["errors"] == [f"hash_mismatch:topics/{victim.name}"]
    with pytest.raises(RestoreRefused, match="not valid"):
        await restore(settings, folder, settings.prefix + "c.")


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bootstrap", "prefix", "partitions", "group"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(settings, name)))


def call(*words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    backup.register(app)
    result = CliRunner().invoke(app, ["backup", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
async def test_the_commands_drill_beside_a_live_worker_and_restore_only_when_none_is(
    settings: Settings, tmp_path: Path, environment: None, admin: AIOKafkaAdminClient
) -> None:
    folder = ("--dir", str(tmp_path / "backups"))
    lines = [orjson.dumps(line) for line in histories.random_history(random.Random(4), 60)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            await feed(settings, lines)
            await at_rest(worker, consumer)
            code, out, err = await asyncio.to_thread(call, "drill", *folder, "--json")
            assert code == 0, (out, err)
            drilled = orjson.loads(out)
            assert drilled["verified"]
            assert drilled["records"] > 60
            assert (drilled["marker"], drilled["surprises"]) == (True, []), "no memory from after a backup comes back"
            safety = tmp_path / "backups" / drilled["safety"]
            assert marked_in(safety, drilled["stamp"])
            assert not marked_in(safety.with_name(drilled["stamp"]), drilled["stamp"])
            words = ("restore", drilled["stamp"], *folder, "--confirm-workers-stopped", "--prefix", "x.")
            code, out, err = await asyncio.to_thread(call, *words)
            assert (code, "has members" in err) == (1, True), (out, err)
    finally:
        await consumer.stop()
    scratch = f"{settings.prefix}drill-"

    async def dropped() -> bool:
        return not [name for name in await admin.list_topics() if name.startswith(scratch)]

    await until(dropped)
    words = ("restore", drilled["stamp"], *folder, "--confirm-workers-stopped", "--json")
    code, _, err = await asyncio.to_thread(call, *words, "--no-safety")
    assert (code, "holds records" in err) == (1, True), err
    code, out, err = await asyncio.to_thread(call, *words, "--prefix", f"{settings.prefix}b.")
    assert code == 0, (out, err)
    answer = orjson.loads(out)
    assert answer["verified"]
    assert answer["safety_stamp"].endswith("-safety")
    code, out, _ = await asyncio.to_thread(call, "list", *folder, "--json")
    assert [one["valid"] for one in orjson.loads(out)] == [True, True, True]
    assert (await asyncio.to_thread(call, "health", *folder))[0] == 0
