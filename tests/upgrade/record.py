"""Records a small history of a release into tests/data/histories: `make history VERSION=...`.

A worker of that release, on a Kafka of its own, reads a story on every topic that outsiders write. What lies on all
topics then, journal and changelogs included, is the history: every later version must read and replay it.
"""

import argparse
import asyncio
import json
import logging
import lzma
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgpack
import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from crew import Crew
from releases import ROOT, Release, release, this_release

import histories
import link_histories
import memory_histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.formats import FORMATS
from endocrine.pipeline.core.seals import SIMULATED
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.settings import Settings
from recorded_releases import HISTORIES, MANIFEST, RECORDS, written_versions

PREFIX, PARTITIONS = "history.", 2


def story() -> list[bytes]:
    """Lines as `simulate` reads them: good, malformed, misplaced and repeated ones."""
    lines = histories.with_names(random.Random(6), histories.random_history(random.Random(5), 90))
    lines += memory_histories.memory_history(random.Random(22), 40)
    lines += link_histories.link_history(random.Random(3), 20)
    return [orjson.dumps(line) for line in lines]


async def names_of(settings: Settings) -> list[str]:
    """Return the topics under the prefix."""
    admin = connection.admin_client(settings)
    await admin.start()
    try:
        return sorted(name for name in await admin.list_topics() if name.startswith(settings.prefix))
    finally:
        await admin.close()


async def ends_of(settings: Settings, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return where these partitions end."""
    consumer = reader(settings)
    await consumer.start()
    try:
        introduce(consumer, places)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        return ends
    finally:
        await consumer.stop()


async def feed(settings: Settings, topics: set[str], without: set[str]) -> int:
    """Send the story, as far as this release has the topics; return how many lines. without: kinds that it has not."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_request_size=4 << 20)
    await producer.start()
    sent = 0
    try:
        for line in story():
            topic, key, value, headers, _ = parse_line(line)
            if settings.prefix + topic in topics and _kind(value) not in without:
                own = [(name, content.encode()) for name, content in headers.items()]
                named = None if key is None else key.encode()
                await producer.send_and_wait(settings.prefix + topic, value, key=named, headers=own)
                sent += 1
    finally:
        await producer.stop()
    return sent


def _kind(value: bytes | None) -> str | None:
    """The kind of a command, where it is one."""
    try:
        content = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return content.get("kind") if isinstance(content, dict) else None


async def records(settings: Settings, places: list[TopicPartition]) -> AsyncIterator[list[Any]]:
    """Yield `[topic, partition, offset, timestamp, key, value, headers]` of all records."""
    ends = await ends_of(settings, places)
    consumer = reader(settings, longest=settings.changelog_message_bytes)
    await consumer.start()
    try:
        introduce(consumer, places)
        async for found in read_until(consumer, {place: (0, end) for place, end in ends.items()}):
            for place, some in found.items():
                topic = place.topic.removeprefix(settings.prefix)
                for raw in some:
                    headers = [[name, content] for name, content in raw.headers]
                    yield [topic, place.partition, raw.offset, raw.timestamp, raw.key, raw.value, headers]
    finally:
        await consumer.stop()


async def unread(settings: Settings, places: list[TopicPartition]) -> int:
    """Return how many records agents of the release have yet to read, by its journal."""
    names = {place.topic.removeprefix(settings.prefix) for place in places}
    journal = [place for place in places if place.topic == f"{settings.prefix}journal"]
    read: dict[tuple[str, int, str], int] = {}
    async for raw in records(settings, journal):
        entry = orjson.loads(raw[5])
        for topic, first, count in entry["runs"]:
            read[entry["agent"], entry["partition"], topic] = first + count
    ends = await ends_of(settings, places)
    return sum(
        ends[TopicPartition(settings.prefix + topic, n)] - read.get((agent.name, n, topic), 0)
        for agent in AGENTS
        if f"changelog.{agent.name}" in names
        for topic in agent.sources
        if topic in names
        for n in range(settings.partitions)
    )


async def record(one: Release, folder: Path, into: Path, version: str, without: set[str]) -> None:
    """Run a worker of the release over the story and write what lies on its topics."""
    keys = folder / "seal.keys"
    keys.write_text(f"simulated:{SIMULATED.hex()}\n")
    async with KafkaNode(folder / "kafka") as node:
        settings = Settings(
            bootstrap=node.bootstrap,
            group="history",
            prefix=PREFIX,
            partitions=PARTITIONS,
            data_dir=folder / "data",
            seal_key_file=keys,
        )
        crew = Crew(settings, folder, time.monotonic())
        try:
            seat = crew.add(static=False, environment=one.environment)
            while "taken over" not in seat.log.read_text():
                if seat.process is None or seat.process.poll() is not None:
                    raise RuntimeError(f"the worker ended:\n{seat.log.read_text()[-2000:]}")
                await asyncio.sleep(0.5)
            names = await names_of(settings)
            places = [TopicPartition(name, n) for name in names for n in range(PARTITIONS)]
            supervising = asyncio.create_task(crew.supervise())  # a machine under load may be too slow for a worker
            lines = await feed(settings, set(names), without)
            while left := await unread(settings, places):
                print(f"{left} records are unread", flush=True)
                await asyncio.sleep(2.0)
            supervising.cancel()
            await crew.stop()
        finally:
            crew.kill()
        if crew.findings:
            raise RuntimeError("; ".join(crew.findings))
        found = [raw async for raw in records(settings, places)]
    write(one, into, version, lines, found)


def write(one: Release, into: Path, version: str, lines: int, found: list[Any]) -> None:
    """Write the history of a release into its folder."""
    into.mkdir(parents=True, exist_ok=True)
    (into / RECORDS).write_bytes(lzma.compress(msgpack.packb(found, use_bin_type=True), preset=9))
    reads = {kind.name: list(kind.reads) for kind in FORMATS} if "PYTHONPATH" not in one.environment else None
    manifest = {
        "version": version,
        "commit": one.commit,
        "prefix": PREFIX,
        "partitions": PARTITIONS,
        "inputs": lines,
        "records": len(found),
        "writes": written_versions(found),
        "reads": reads,
    }
    (into / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    size = (into / RECORDS).stat().st_size
    print(f"{into.relative_to(ROOT)}: {len(found)} records of {lines} inputs by {one.commit}, {size} bytes")


def main() -> int:
    """The command line."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("version", help="name of the folder: the release's version")
    ask.add_argument("--from", dest="ref", default="", help="record this commit; by default the checkout as it is")
    ask.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="KIND",
        help="leave out commands of this kind, which that release does not know: it would make dead letters of them",
    )
    given = ask.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="endocrine-history-") as name:
        folder = Path(name)
        try:
            with release(given.ref, folder) if given.ref else nullcontext(this_release()) as one:
                asyncio.run(record(one, folder, HISTORIES / given.version, given.version, set(given.without)))
        except (ValueError, RuntimeError) as error:
            print(f"history: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
