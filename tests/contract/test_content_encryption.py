"""`content_encryption` on a broker: what was erased is unreadable at once, everything else goes on and is proved."""

import asyncio
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from canary import Canary, in_redis
from command_line import command_line
from compacting import LOOKS_OFTEN, in_files, others_go_on, shortened
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import audit as audit_command
from endocrine.pipeline.cli import erase as erase_command
from endocrine.pipeline.cli import replay as replay_command
from endocrine.pipeline.connectors import process as connectors
from endocrine.pipeline.core.outbox import decode_outbox
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.stack import PATIENT
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis.consumer import Projection
from running import at_rest, worker_in_process
from waiting import until


class Words(Canary):
    """A subject whose every field of content holds one text; ids and labels of programs are none."""

    def __init__(self):
        super().__init__()
        self.needles = (self.text.encode(),)

    def lines(self):
        found = []
        for line in super().lines():
            if line["topic"] in ("signals", "detections", "observations"):
                continue
            for name in ("id", "audit_id", "call_id", "session_id", "target_action_id"):
                if name in line["value"]:
                    line["value"][name] = line["value"][name].replace(self.text, self.name)
            found.append(line)
        return found


async def in_clear(settings, words, stored=True):
    """Topics that hold it in clear, each with a record."""
    names = [one.name.removeprefix(settings.prefix) for one in physical_topics(settings, [a.name for a in AGENTS])]
    found = {}
    async for topic, partition, records in batches(settings, names, as_stored=stored):
        for raw in records:
            contents = [raw.key, raw.value, *(content for _, content in raw.headers)]
            if topic.startswith("changelog.") and raw.key[:1] == b"o" and raw.value:
                contents += [part for one in decode_outbox(raw.value).records for part in (one.key, one.value)]
            if words.found_in(*contents):
                found.setdefault(topic, (partition, raw.offset, raw.value))
    return found


class Wrapped:
    """Keys of content, as they were on their topic."""

    def __init__(self, keys):
        self.keys = keys

    def found_in(self, *contents):
        return any(key in content for key in self.keys for content in contents)


@pytest.fixture
def on(settings, monkeypatch, tmp_path):
    on = settings.model_copy(update={"partitions": 2, "content_encryption": "on", "data_dir": tmp_path})
    for name in ("prefix", "partitions", "bootstrap", "group", "content_encryption", "data_dir"):
        monkeypatch.setenv(f"ENDOCRINE_{name.upper()}", str(getattr(on, name)))
    return on


def commands_of(settings):
    """Returns what runs `erase`, `replay` and `audit`: exit code, and what they print."""
    call = command_line(settings, erase_command, replay_command, audit_command)

    async def run(*words):
        done = await call(*words, ENDOCRINE_CONTENT_ENCRYPTION="on")
        return done.exit_code, done.stdout, done.stderr

    return run


@pytest.mark.slow
async def test_after_an_erasure_no_retained_topic_holds_a_word_of_the_subject_and_all_else_is_proved(on):
    await ensure_topics(on, [agent.name for agent in AGENTS])
    gone, stays, command = Words(), Words(), commands_of(on)
    consumer = AIOKafkaConsumer(bootstrap_servers=on.bootstrap)
    await consumer.start()
    try:
        async with worker_in_process(on, AGENTS, shipped_policy()) as worker:
            await produce(gone.lines(), on)
            await produce(stays.lines(), on)
            await at_rest(worker, consumer)
            states = {f"changelog.{agent.name}" for agent in AGENTS}
            before = await in_clear(on, gone)
            assert set(before) <= states, {t: v for t, v in before.items() if t not in states}
            assert len(await in_clear(on, gone, stored=False)) > 10
            code, out, err = await command("replay", "verify", "--json")
            assert code == 0, out + err
            assert json.loads(out)["erased"] == 0
            code, out, err = await command("erase", gone.name, "--yes", "--json")
            assert code == 0, err
            receipt = json.loads(out)
            assert receipt["content"]["keys"] > 0
            await at_rest(worker, consumer)
        assert set(await in_clear(on, gone, stored=False)) <= states
        assert set(await in_clear(on, stays, stored=False)) > states & set(await in_clear(on, stays))
        code, out, err = await command("replay", "verify", "--json")
        report = json.loads(out)
        assert code == 0, orjson.dumps(report["findings"]).decode()[:3000] + err
        assert report["erased"] > 0
        code, out, err = await command("audit", "verify", "--json")
        assert code == 0, out + err
    finally:
        await consumer.stop()


async def test_a_service_without_the_file_of_keys_refuses_to_start_where_content_is_encrypted(on, settings, capsys):
    """It would take what stands in the place of content for content: a gateway would answer with it."""
    bare = settings.model_copy(update={"data_dir": on.data_dir / "without"})
    await ensure_topics(on, [])
    await clients.require_content_keys(bare)
    await produce([next(line for line in Words().lines() if line["topic"] == "interactions")], on)
    await clients.require_content_keys(on)
    async with asyncio.timeout(30):
        with pytest.raises(KeyFileError, match="ENDOCRINE_CONTENT_KEY_FILE"):
            await Projection(bare).run()
    connector = SimpleNamespace(stop=lambda: None)
    assert await connectors.serve(bare, "model", connector, lambda: None) == 2
    assert "ENDOCRINE_CONTENT_KEY_FILE" in capsys.readouterr().err
    words = [sys.executable, "-m", "endocrine.pipeline.cli", "gateway", "--port", "0"]
    off = {"ENDOCRINE_CONTENT_ENCRYPTION": "off", "ENDOCRINE_DATA_DIR": str(bare.data_dir)}
    gateway = await asyncio.to_thread(
        subprocess.run, words, env=os.environ | off, capture_output=True, text=True, timeout=60
    )
    assert (gateway.returncode, "ENDOCRINE_CONTENT_KEY_FILE" in gateway.stderr) == (2, True), gateway.stderr


@pytest.mark.slow
@pytest.mark.node
async def test_with_retention_as_shipped_no_byte_of_an_erased_subjects_words_is_left_after_compaction(tmp_path):
    valkey = ValkeyServer(tmp_path / "valkey")
    async with KafkaNode(tmp_path / "kafka", properties=PATIENT | LOOKS_OFTEN) as node:
        await valkey.start()
        settings = Settings(
            bootstrap=node.bootstrap,
            redis_url=valkey.url,
            prefix="shred.",
            group="shred",
            data_dir=tmp_path / "data",
            partitions=2,
            content_encryption="on",
        )
        await ensure_topics(settings, [agent.name for agent in AGENTS])
        words, command = Words(), commands_of(settings)
        consumer, producer = (
            made(bootstrap_servers=settings.bootstrap) for made in (AIOKafkaConsumer, AIOKafkaProducer)
        )
        await consumer.start()
        await producer.start()
        projection = Projection(settings)
        projecting = asyncio.create_task(projection.run())
        try:
            async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
                await produce(words.lines(), settings)
                await at_rest(worker, consumer)
                await until(lambda: in_redis(settings.redis_url, words, 0))
                wrapped = Wrapped({key async for key in keys_on_topic(settings)})
                assert in_files(node.data_dir / "logs", wrapped)
                code, out, err = await command("erase", words.name, "--yes", "--json")
                assert code == 0, err
                receipt = json.loads(out)
                assert receipt["content"]["keys"] == len(wrapped.keys)
                assert not any(one["in_clear"] for one in receipt["topics"].values())
                await at_rest(worker, consumer)
            await projection.stop()
            await projecting
            assert await in_redis(settings.redis_url, words, 0) == set()
            await shortened(settings, retention=False)

            async def gone():
                await others_go_on(settings, producer)
                return not await in_clear(settings, words)

            await until(gone, 240)
            await until(lambda: not in_files(node.data_dir / "logs", words))
            await until(lambda: not in_files(node.data_dir / "logs", wrapped), 240)
        finally:
            await projection.stop()
            await projecting
            await producer.stop()
            await consumer.stop()
            await valkey.stop()


async def keys_on_topic(settings):
    async for _, _, records in batches(settings, ["content-keys"]):
        for raw in records:
            yield orjson.loads(raw.value)["wrapped"].encode()
