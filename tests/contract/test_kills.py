"""kill -9 of the worker again and again, in the middle of work: nothing lost, nothing twice, every byte proved."""

import asyncio
import random
import signal
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import histories
from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.simulation import Simulation, parse_line
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.content_key_file import wrapping_keys
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_history, read_logs, read_policies
from endocrine.pipeline.replay.recorded_keys import recorded_table
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Report, Verifier, verified_topics
from running import WorkerChild, at_rest, worker_in_process

pytestmark = pytest.mark.slow

KILLS = 3
LINES = 900


async def verify(settings: Settings) -> Report:
    policies = {digest: compile_policy(document) for digest, document in (await read_policies(settings)).items()}
    logs = await read_history(settings, verified_topics(), RecordedSeals(load_seals(settings)))
    keys = recorded_table(wrapping_keys(settings), logs, settings.partitions)
    verifier = Verifier(logs, policies.__getitem__, partitions=settings.partitions, sizes=settings.sizes, keys=keys)
    return verifier.run(AGENTS)


async def feed(lines: list[bytes], settings: Settings, pause_s: float) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        for line in lines:
            topic, key, value, *_ = parse_line(line)
            await producer.send(settings.prefix + topic, value, key=None if key is None else key.encode())
            await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


@pytest.mark.parametrize(("store", "encryption"), [("memory", "off"), ("rocksdb", "off"), ("memory", "on")])
async def test_killed_again_and_again_every_record_is_derived_once_and_proved(
    settings: Settings, tmp_path: Path, store: str, encryption: str
) -> None:
    rng = random.Random(7)
    more = {"store": store, "content_encryption": encryption}
    settings = settings.model_copy(update={"partitions": 2, "instance": "one", **more})
    lines = [orjson.dumps(line) for line in histories.random_history(rng, LINES, well_placed=("observations",))]
    await ensure_topics(settings, [agent.name for agent in AGENTS])  # before a client's question makes others
    child = WorkerChild(settings, tmp_path / "worker.log")
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=None)
    await consumer.start()
    try:
        for part in range(KILLS):
            await child.start()
            feeding = asyncio.create_task(feed(lines[part :: KILLS + 1], settings, 0.005))
            await _at_work(settings, consumer)
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            await child.end(signal.SIGKILL)
            await feeding
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            await feed(lines[KILLS :: KILLS + 1], settings, 0.001)
            await at_rest(worker, consumer)
    finally:
        await consumer.stop()
    report = await verify(settings)
    assert report.proved, {kind: told[:3] for kind, told in report.findings.items()}
    assert report.compared == report.equal > LINES / 2
    lines = [line for part in range(KILLS + 1) for line in lines[part :: KILLS + 1]]
    await _agents_with_one_source_end_as_if_undisturbed(settings, lines)


async def _at_work(settings: Settings, consumer: AIOKafkaConsumer) -> None:
    """Return when the worker has journaled some batches from now on: it is in the middle of it."""
    places = [TopicPartition(f"{settings.prefix}journal", n) for n in range(settings.partitions)]
    before = sum((await consumer.end_offsets(places)).values())
    async with asyncio.timeout(120):
        while sum((await consumer.end_offsets(places)).values()) < before + 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _agents_with_one_source_end_as_if_undisturbed(settings: Settings, lines: list[bytes]) -> None:
    undisturbed: dict[str, list[str]] = {}
    run = Simulation(
        AGENTS,
        shipped_policy(),
        version="x",
        sizes=settings.sizes,
        partitions=settings.partitions,
    )
    for line in lines:
        for topic, key, value, headers in run.feed(line):
            if topic == "attribution-changes" and isinstance(value, bytes):
                undisturbed.setdefault(str(key), []).append(headers["ce_id"])
    seen: dict[str, list[str]] = {}
    for log in (await read_logs(settings, ["attribution-changes"])).values():
        for raw in log:
            name, key = dict(raw.headers)["ce_id"].decode(), raw.key.decode()
            if name not in seen.setdefault(key, []):
                seen[key].append(name)
    assert CATALOGUE["attribution-changes"].key == "identity"
    assert seen == undisturbed
