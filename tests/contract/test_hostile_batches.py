"""Batches that no client library writes, any codec, floods: each record is decided or a dead letter, nobody dies."""

import asyncio
import hashlib
import random
import resource
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

import rawbatches as wire
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.batches import header_of
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.kafka.unreadable import UNREADABLE
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from needed import agents_named
from running import worker_in_process

CODECS = {"none": 0, "gzip": wire.GZIP, "snappy": wire.SNAPPY, "lz4": wire.LZ4, "zstd": wire.ZSTD}


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"partitions": 1})


def turn(identity: str, **more: Any) -> bytes:
    value = {"kind": "opened", "audit_id": f"turn of {identity}", "session_id": "s", "turn": 0, "client": "shell"}
    return orjson.dumps(value | {"identity": identity, "prompt": "Hello.", "ts": 1_700_000_000.0} | more)


def opened(number: int, identity: str, headers: wire.RawHeaders = ()) -> bytes:
    return wire.record(number, identity.encode(), turn(identity), headers)


async def records(settings: Settings, topic: str) -> list[Any]:
    found = []
    async for _, _, some in batches(settings, [topic]):
        found += some
    return found


async def decided(settings: Settings, expected: set[str], dead: int = 0) -> list[Any]:
    """Wait until these have modulations and so many dead letters are there; returns the dead letters."""
    async with asyncio.timeout(90):
        while True:
            names = {orjson.loads(raw.value)["identity"] for raw in await records(settings, "modulations")}
            letters = await records(settings, "interactions.dlq")
            assert names <= expected
            if names == expected and len(letters) >= dead:
                assert len(letters) == dead
                return letters
            await asyncio.sleep(0.2)


async def proved(settings: Settings) -> None:
    report = await verified(settings)
    assert report.proved, (report.findings, report.not_verifiable)


async def test_every_codec_and_every_header_is_read_and_proved(small):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    topic = small.prefix + "interactions"
    odd: list[tuple[bytes, bytes | None]] = [(b"\xff\xfe", b"1"), (b"", None), (b"twice", b"1"), (b"twice", b"2")]
    expected = set()
    async with worker_in_process(small, AGENTS, shipped_policy()):
        for name, codec in CODECS.items():
            people = [f"{name} {n}" for n in range(3)]
            expected |= set(people)
            raw = wire.batch([opened(n, one, odd[: n + 1]) for n, one in enumerate(people)], codec=codec)
            await wire.append(small.bootstrap, topic, 0, raw)
        # What Kafka takes, and stock aiokafka does not: bytes after the end of a stream.
        for name, after in (("gzip", b"garbage"), ("lz4", b"garbage"), ("snappy", b"\0\0")):
            payload = wire.compressed(CODECS[name], opened(0, f"{name} and more")) + after
            raw = wire.batch([], codec=CODECS[name], payload=payload, count=1)
            await wire.append(small.bootstrap, topic, 0, raw)
            expected.add(f"{name} and more")
        await decided(small, expected)
    await proved(small)


@pytest.mark.usefixtures("only_needed_topics")
async def test_a_client_library_with_any_compression_is_served(small):
    async with worker_in_process(small, agents_named("modulation"), shipped_policy()):
        for name in ("gzip", "snappy", "lz4", "zstd"):
            producer = AIOKafkaProducer(bootstrap_servers=small.bootstrap, compression_type=name)
            await producer.start()
            key = name.encode()
            await producer.send_and_wait(small.prefix + "interactions", turn(name, prompt="Hi. " * 4000), key=key)
            await producer.stop()
        await decided(small, {"gzip", "snappy", "lz4", "zstd"})


async def test_one_malformed_record_and_one_bomb_are_dead_letters_alone(small):
    small = small.model_copy(update={"max_batch_bytes": 2 << 20})
    await ensure_topics(small, [agent.name for agent in AGENTS])
    topic = small.prefix + "interactions"
    bomb = wire.batch([wire.record(0, b"bomb", bytes(3 << 20))], codec=wire.ZSTD)
    # Two records under one offset: Kafka takes that without compression, and a reader that believed it loses one.
    twice = wire.batch([opened(0, "ann"), opened(0, "ghost"), opened(2, "bob")])
    async with worker_in_process(small, AGENTS, shipped_policy()):
        await wire.append(small.bootstrap, topic, 0, twice)
        await wire.append(small.bootstrap, topic, 0, bomb)
        await wire.append(small.bootstrap, topic, 0, wire.batch([opened(0, "cid")]))
        letters = await decided(small, {"ann", "bob", "cid"}, dead=2)
    told = [orjson.loads(dict(raw.headers)[UNREADABLE]) for raw in letters]
    assert [(one["first_offset"], one["last_offset"]) for one in told] == [(1, 1), (3, 3)]
    assert "decompresses to more than 2097152 bytes" in told[1]["reason"]
    await proved(small)


@pytest.mark.usefixtures("only_needed_topics")
async def test_many_malformed_records_are_dead_letters_and_stop_nobody(small):
    async with worker_in_process(small, agents_named("modulation"), shipped_policy()):
        producer = AIOKafkaProducer(bootstrap_servers=small.bootstrap)
        await producer.start()
        for n in range(2500):
            await producer.send(small.prefix + "interactions", b"{%d" % n, key=b"x", partition=0)
        await producer.send_and_wait(small.prefix + "interactions", turn("ann"), key=b"ann", partition=0)
        await producer.stop()
        await decided(small, {"ann"}, dead=2500)


@pytest.mark.slow
async def test_a_flood_that_decompresses_a_thousandfold_takes_bounded_memory_and_holds_up_no_other_topic(small):
    await ensure_topics(small, [agent.name for agent in AGENTS])
    # 20 batches of 20 records of 1 MB: 400 MB in 2 MB or less on the topic.
    value = b"{" + b" " * (1_000_000)
    flood = wire.batch([wire.record(n, b"x", value) for n in range(20)], codec=wire.ZSTD)
    assert len(flood) < 100_000
    async with worker_in_process(small, AGENTS, shipped_policy()) as worker:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(20):
            await wire.append(small.bootstrap, small.prefix + "signals", 0, flood)
        await wire.append(small.bootstrap, small.prefix + "interactions", 0, wire.batch([opened(0, "ann")]))
        await decided(small, {"ann"})
        unit = worker.manager.processors["modulation", 0]
        async with asyncio.timeout(300):
            while unit.checkpoint.next_offsets.get("signals", 0) < 400:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown_mib < 300, f"{grown_mib} MiB more than before 400 MB came"


@pytest.mark.node
@pytest.mark.slow
async def test_a_batch_that_was_corrupted_on_the_brokers_disk_is_one_dead_letter_and_proved(tmp_path):
    """A payload that nobody can decompress, under a CRC that fits: no broker takes that, but a disk may hold it."""
    async with KafkaNode(tmp_path / "kafka", heap="512m") as node:
        mine = Settings(bootstrap=node.bootstrap, partitions=1, data_dir=tmp_path, prefix="odd.", group="odd")
        await ensure_topics(mine, [agent.name for agent in AGENTS])
        topic = "odd.interactions"
        await wire.append(node.bootstrap, topic, 0, wire.batch([opened(0, "ann")]))
        doomed = wire.batch([opened(n, f"doomed {n}") for n in range(3)], codec=wire.GZIP)
        await wire.append(node.bootstrap, topic, 0, doomed)
        await wire.append(node.bootstrap, topic, 0, wire.batch([opened(0, "bob")]))
        await node.stop()
        raw = corrupt(tmp_path / "kafka" / "logs" / f"{topic}-0")
        await node.start()
        mine = mine.model_copy(update={"bootstrap": node.bootstrap})
        async with worker_in_process(mine, AGENTS, shipped_policy()):
            (letter,) = await decided(mine, {"ann", "bob"}, dead=1)
        told = orjson.loads(dict(letter.headers)[UNREADABLE])
        assert told == {
            "topic": topic,
            "partition": 0,
            "first_offset": 1,
            "last_offset": 3,
            "bytes": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
            "reason": "its gzip payload is corrupt",
        }
        assert letter.value == raw
        await proved(mine)


def corrupt(folder: Path) -> bytes:
    """Damages the compressed batch in a segment of the broker's, and mends its CRC; returns the batch."""
    (segment,) = folder.glob("*.log")
    data = bytearray(segment.read_bytes())
    at = 0
    while True:
        header = header_of(bytes(data[at:]))
        end = at + 12 + header.length
        if header.codec:
            break
        at = end
    data[at + 75 : end] = random.Random(1).randbytes(end - at - 75)
    data[at + 17 : at + 21] = wire.calc_crc32c(bytes(data[at + 21 : end])).to_bytes(4, "big")
    segment.write_bytes(data)
    return bytes(data[at:end])
