"""kcat and Kafka's own console consumer read every topic as plain JSON with string keys."""

import asyncio
import json
import shutil
import subprocess
from collections import defaultdict

import pytest
from aiokafka.partitioner import DefaultPartitioner

from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.local.jars import kafka_jars
from endocrine.pipeline.local.java import java
from shared_broker import without_security

AGENTS = ["modulation", "gating"]
KEYS = ["ann", "bob/motor.pace", "Zoë", "a b", "modulation/3"]


@pytest.fixture
def kcat(broker):
    """Run kcat against the broker; its standard output as text."""
    if not shutil.which("kcat"):
        pytest.skip("kcat is not installed (Debian: apt-get install kcat)")

    async def run(*arguments, stdin=None):
        def call():
            argv = ["kcat", "-q", "-b", without_security(broker.bootstrap), "-X", "fetch.wait.max.ms=10", *arguments]
            return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=True).stdout

        return await asyncio.to_thread(call)

    return run


async def filled(settings, wire):
    """All topics, each with one JSON record per key, as the runtime writes them."""
    await ensure_topics(settings, AGENTS)
    producer = await wire.producer(linger_ms=5)
    expected = {}
    sent = []
    for topic in physical_topics(settings, AGENTS):
        expected[topic.name] = {key: {"identity": key, "topic": topic.name, "level": 0.5, "note": "é"} for key in KEYS}
        for key, value in expected[topic.name].items():
            body = json.dumps(value, ensure_ascii=False).encode()
            sent.append(await producer.send(topic.name, body, key=key.encode(), headers=[("ce_id", b"x")]))
    await asyncio.gather(*sent)
    return expected


async def test_kcat_reads_every_topic(settings, wire, kcat):
    expected = await filled(settings, wire)
    for topic, records in expected.items():
        out = await kcat("-C", "-t", topic, "-o", "beginning", "-e", "-f", "%k\t%s\n")
        lines = [line.split("\t") for line in out.splitlines()]
        assert {key: json.loads(value) for key, value in lines} == records


async def test_kcat_places_keys_as_we_do_when_told_to_use_murmur2(wire, kcat):
    topic = await wire.topic("keys", partitions=8)
    keys = [f"user-{number}" for number in range(200)] + KEYS
    await kcat(
        "-P", "-t", topic, "-K", "\t", "-X", "partitioner=murmur2_random", stdin="".join(f"{k}\tv\n" for k in keys)
    )
    out = await kcat("-C", "-t", topic, "-o", "beginning", "-e", "-f", "%p\t%k\n")
    placed = {key: int(partition) for partition, key in (line.split("\t") for line in out.splitlines())}
    ours = DefaultPartitioner()
    assert placed == {key: ours(key.encode(), list(range(8)), list(range(8))) for key in keys}


async def test_kcats_own_default_places_keys_otherwise(wire, kcat):
    """Why a correct key can lie on a wrong partition (a misfit that is forwarded)."""
    topic = await wire.topic("keys", partitions=8)
    keys = [f"user-{number}" for number in range(100)]
    await kcat("-P", "-t", topic, "-K", "\t", stdin="".join(f"{k}\tv\n" for k in keys))
    out = await kcat("-C", "-t", topic, "-o", "beginning", "-e", "-f", "%p\t%k\n")
    placed = {key: int(partition) for partition, key in (line.split("\t") for line in out.splitlines())}
    ours = DefaultPartitioner()
    assert placed != {key: ours(key.encode(), list(range(8)), list(range(8))) for key in keys}


async def test_kafkas_console_consumer_reads_every_topic(settings, wire, broker):
    expected = await filled(settings, wire)
    formatter = ["print.key=true", "key.separator=\t", "print.headers=false"]
    argv = [java().program, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR"]
    argv += ["-cp", ":".join(map(str, kafka_jars()))]
    argv += ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server"]
    argv += [without_security(broker.bootstrap)]
    argv += ["--include", settings.prefix.replace(".", r"\.") + ".*", "--from-beginning", "--timeout-ms", "30000"]
    argv += ["--max-messages", str(len(expected) * len(KEYS))]
    argv += [part for option in formatter for part in ("--formatter-property", option)]
    run = await asyncio.to_thread(subprocess.run, argv, capture_output=True, timeout=90, check=False)
    assert run.returncode == 0, run.stderr.decode()[-2000:]
    found = defaultdict(dict)
    for line in run.stdout.decode().splitlines():
        key, value = line.split("\t")
        found[json.loads(value)["topic"]][key] = json.loads(value)
    assert found == expected
