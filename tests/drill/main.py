"""Everything lost, restored, proved: `make drill`.

A stack of its own with data and a backup beside it; then its whole data folder is removed. On an empty stack the backup
is restored, a worker goes on with what comes next, and replay proves every record since. What survives is what an
operator keeps elsewhere: the backup and the file of seal keys. Exit code 1: something was lost or is not proved.
"""

import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.data.backup.create import create
from endocrine.pipeline.data.backup.restore import restore
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import make_key_file
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_logs
from running import at_rest, worker_in_process

BEFORE, UNREAD, AFTER = 400, 50, 50
"""Inputs before the backup, inputs that no agent has read by then, inputs after the restore."""


async def feed(settings: Settings, lines: list[bytes]) -> None:
    """Send inputs, as `simulate` reads them."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    await producer.start()
    try:
        for line in lines:
            topic, key, value, headers, _ = parse_line(line)
            sent = [(name, content.encode()) for name, content in headers.items()]
            await producer.send(settings.prefix + topic, value, key=None if key is None else key.encode(), headers=sent)
        await producer.flush()
    finally:
        await producer.stop()


async def live(settings: Settings, lines: list[bytes]) -> None:
    """Let a worker read them all."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            await feed(settings, lines)
            await at_rest(worker, consumer)
    finally:
        await consumer.stop()


async def count(settings: Settings, topic: str) -> int:
    """Return how many records a topic holds, copies once each."""
    logs = await read_logs(settings, [topic])
    return len({(place, dict(raw.headers).get("ce_id"), raw.value) for place, log in logs.items() for raw in log})


async def drill(folder: Path) -> int:
    """Run it; return the exit code."""
    lines = [orjson.dumps(line) for line in histories.random_history(random.Random(5), BEFORE + UNREAD + AFTER)]
    data, keys, backups = folder / "data", folder / "elsewhere" / "seal.keys", folder / "elsewhere" / "backups"
    make_key_file(keys)

    def settings_on(stack: LocalStack) -> Settings:
        return Settings(
            bootstrap=str(stack.bootstrap),
            prefix="drill.",
            group="drill",
            data_dir=data,
            partitions=2,
            seal_key_file=keys,
        )

    async with LocalStack(data, valkey=False) as stack:
        settings = settings_on(stack)
        await live(settings, lines[:BEFORE])
        await feed(settings, lines[BEFORE : BEFORE + UNREAD])
        begun = time.monotonic()
        stamp, verdict = await create(settings, backups, version="drill")
        backup_s = time.monotonic() - begun
        inputs = await count(settings, "interactions")
        print(f"backup {stamp}: {verdict['valid'] and 'valid'}, {backup_s:.1f} s", flush=True)
    shutil.rmtree(data)
    print(f"lost: {data} is gone", flush=True)
    begun = time.monotonic()
    async with LocalStack(data, valkey=False) as stack:
        settings = settings_on(stack)
        started = time.monotonic()
        done = await restore(settings, backups / stamp, settings.prefix)
        restored = time.monotonic()
        kept = await count(settings, "interactions") == inputs
        await live(settings, lines[BEFORE + UNREAD :])
        back = time.monotonic()
        report = await verified(settings, snapshot=done.snapshot)
    print(
        f"restored: {done.records} records, {done.states} states, read back "
        f"{'equal' if done.verified else 'DIFFERENT'}; "
        f"Kafka {started - begun:.1f} s, restore {restored - started:.1f} s, all read {back - restored:.1f} s: "
        f"back after {back - begun:.1f} s"
    )
    print(
        f"replay: {report.batches} batches, {report.compared} records since the restore, "
        f"{'proved' if report.proved else f'NOT proved: {report.findings} {report.not_verifiable}'}"
    )
    sound = verdict["valid"] and done.verified and kept and report.proved and report.batches > 0
    print("drill: everything is back" if sound else "drill: FAILED")
    return 0 if sound else 1


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="endocrine-drill-") as name:
        for variable in [one for one in os.environ if one.startswith("ENDOCRINE_")]:
            del os.environ[variable]
        sys.exit(asyncio.run(drill(Path(name))))
