"""What a receipt dates is gone at its dates: compaction and retention of a real broker, down to its files."""

import asyncio
import json
import time

import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from canary import Canary, in_redis, on_topics
from compacting import LOOKS_OFTEN, in_files, others_go_on, shortened
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import erase as erase_command
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis.consumer import Projection
from running import at_rest, worker_in_process
from waiting import until

app = typer.Typer()
erase_command.register(app)


async def erased(*words):
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.node
async def test_at_the_dates_of_its_receipt_no_byte_of_an_erased_subject_is_on_any_topic_or_in_redis(
    tmp_path, monkeypatch
):
    valkey = ValkeyServer(tmp_path / "valkey")
    async with KafkaNode(tmp_path / "kafka", properties=PATIENT | LOOKS_OFTEN) as node:
        await valkey.start()
        settings = Settings(
            bootstrap=node.bootstrap,
            redis_url=valkey.url,
            prefix="dates.",
            group="dates",
            data_dir=tmp_path / "data",
            partitions=2,
        )
        for name in ("prefix", "partitions", "bootstrap", "group", "redis_url", "data_dir"):
            monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(settings, name)))
        await ensure_topics(settings, [agent.name for agent in AGENTS])
        canary = Canary()
        consumer, producer = (
            made(bootstrap_servers=settings.bootstrap) for made in (AIOKafkaConsumer, AIOKafkaProducer)
        )
        await consumer.start()
        await producer.start()
        projection = Projection(settings)
        projecting = asyncio.create_task(projection.run())
        try:
            async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
                await produce(canary.lines(), settings)
                await at_rest(worker, consumer)
                await until(lambda: in_redis(settings.redis_url, canary, 0))
                assert (await erased(canary.name, "--yes", "--json"))["topics"]
                await canary.also_memories(settings)
                await at_rest(worker, consumer)
            await projection.stop()
            await projecting
            assert in_files(node.data_dir / "logs", canary)
            assert await in_redis(settings.redis_url, canary, 0) == set()
            await shortened(settings)
            # Weeks later the command dates what is left, by what is in force: here, at once.
            dates = [one["until"] for one in (await erased(canary.name, "--json"))["topics"].values()]
            assert dates
            await until(lambda: time.time() > max(dates))

            async def gone():
                await others_go_on(settings, producer)
                return not await on_topics(settings, canary)

            await until(gone, 240)
            await until(lambda: not in_files(node.data_dir / "logs", canary))
            assert (await erased(canary.name, "--json"))["topics"] == {}
        finally:
            await projection.stop()
            await projecting
            await producer.stop()
            await consumer.stop()
            await valkey.stop()
