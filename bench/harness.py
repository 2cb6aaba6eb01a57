"""What a run needs: one broker on a temporary folder, topics, producing, and watching from outside."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.machine import cpu_seconds, topic_bytes
from bench.workload import Record, Stream, index_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import BrokerError

BATCH_BYTES = 64 << 10
"""Size of the batches in which inputs are on the broker: that of a busy producer."""
POLL_S = 0.15
STALLED_S = 120.0
"""Seconds without any progress after which a competitor is given up."""
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}

SOURCES_AND_TARGETS = ("observations", "attribution-changes", "tool-calls", "tool-decisions", "changelog.echo")
"""Topics of those who need no more."""

Alive = Callable[[], None]
"""Raises when the competitor has died."""


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[KafkaNode]:
    """Start a Kafka node with all that Java takes; yields it."""
    async with KafkaNode(folder / "kafka", heap="2g", small=False) as node:
        yield node


class Harness:
    """Topics and records of one broker; an async context manager.

    node: the broker. folder: where its data is. partitions: of every topic.
    """

    def __init__(self, node: KafkaNode, folder: Path, partitions: int) -> None:
        self.bootstrap = bootstrap = node.bootstrap
        self.partitions = partitions
        self._node, self._folder = node, folder
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES, enable_idempotence=True
        )
        self.reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")

    async def __aenter__(self) -> "Harness":
        await self._admin.start()
        await self._producer.start()
        await self.reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reader.stop()
        await self._producer.stop()
        await self._admin.close()

    def beside(self) -> "Harness":
        """Another one of the same broker, to be entered: a harness watches one topic at a time."""
        return Harness(self._node, self._folder, self.partitions)

    @property
    def broker_cpu(self) -> float:
        """Processor time that the broker has used so far, seconds."""
        return cpu_seconds(self._node.pid or 0)

    def written(self, prefix: str, source: str) -> tuple[int, int]:
        """Bytes of the logs on the broker's disk: of the source, and of all other topics of a prefix."""
        sizes = topic_bytes(self._folder, prefix)
        came = sizes.pop(source, 0)
        return came, sum(sizes.values())

    def places(self, topic: str) -> list[TopicPartition]:
        """All partitions of a topic."""
        return [TopicPartition(topic, number) for number in range(self.partitions)]

    async def make_topics(self, prefix: str, agents: Sequence[str]) -> None:
        """What our worker needs (agents named), or only a source and a target of changes."""
        if agents:
            settings = Settings(bootstrap=self.bootstrap, prefix=prefix, partitions=self.partitions)
            await ensure_topics(settings, list(agents))
            return
        wanted = [prefix + name for name in SOURCES_AND_TARGETS]
        topics = [NewTopic(name, self.partitions, 1, topic_configs=APPEND_TIME) for name in wanted]
        answer = await self._admin.create_topics(topics)
        if failed := [error for error in answer.topic_errors if error[1]]:
            raise BrokerError(f"topics could not be made: {failed}")
        await asyncio.sleep(0.2)

    async def delete_topics(self, prefix: str) -> None:
        """Delete everything that a run left, so that the next one meets the same broker."""
        mine = [name for name in await self._admin.list_topics() if prefix in name]
        if mine:
            await self._admin.delete_topics(mine)

    async def produce(self, topic: str, records: Iterable[Record], notify: Callable[[int], None] | None = None) -> None:
        """Write the records, each to its partition, in order; returns when the broker has them all."""
        building: dict[int, Any] = {}
        sent: list[asyncio.Future[object]] = []
        for number, (place, key, value) in enumerate(records):
            batch = building.get(place) or self._producer.create_batch()
            if batch.append(key=key, value=value, timestamp=None) is None:
                sent.append(await self._send(batch, topic, place))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
            building[place] = batch
            if notify is not None and number % 5000 == 0:
                notify(number)
        for place, batch in building.items():
            sent.append(await self._send(batch, topic, place))
        for future in sent:
            await future

    async def _send(self, batch: Any, topic: str, place: int) -> "asyncio.Future[object]":
        batch.close()
        future: asyncio.Future[object] = await self._producer.send_batch(batch, topic, partition=place)
        return future

    async def ends(self, topic: str) -> dict[int, int]:
        """Log end per partition."""
        found = await self.reader.end_offsets(self.places(topic))
        return {place.partition: offset for place, offset in found.items()}

    async def watch(
        self, topic: str, stream: Stream, alive: Alive, notify: Callable[[int], None] | None = None
    ) -> None:
        """Return when the last change on every partition is that of the partition's last record.

        notify: called with the number of records read so far. Raises TimeoutError when nothing moves for STALLED_S.
        """
        self.reader.assign(self.places(topic))
        seen: dict[int, int] = {}
        read = dict.fromkeys(range(stream.partitions), 0)
        waiting = set(range(stream.partitions))
        moved = time.monotonic()
        while waiting:
            await asyncio.sleep(POLL_S)
            alive()
            for place, end in (await self.ends(topic)).items():
                if end == seen.get(place, 0):
                    continue
                seen[place], moved = end, time.monotonic()
                index = await self._last_index(TopicPartition(topic, place), end)
                read[place] = stream.ordinal[index]
                if index == stream.last[place]:
                    waiting.discard(place)
                if notify is not None:
                    notify(sum(read.values()))
            if time.monotonic() - moved > STALLED_S:
                raise TimeoutError(f"{topic}: {sum(read.values())} of {stream.total} records read, nothing moves")
        self.reader.unsubscribe()

    async def _last_index(self, place: TopicPartition, end: int) -> int:
        self.reader.seek(place, end - 1)
        while True:
            found = (await self.reader.getmany(place, timeout_ms=1000)).get(place)
            if found:
                return index_of(orjson.loads(found[-1].value)["ts"])

    async def read_all(self, topic: str) -> list[tuple[int, bytes]]:
        """Append time and value of every record, in order per partition."""
        places = self.places(topic)
        ends = await self.reader.end_offsets(places)
        self.reader.assign(places)
        await self.reader.seek_to_beginning(*places)
        found: list[tuple[int, bytes]] = []
        left = {place for place in places if ends[place] > 0}
        while left:
            for place, records in (await self.reader.getmany(*left, timeout_ms=1000)).items():
                found += [(record.timestamp, record.value) for record in records]
                if records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        self.reader.unsubscribe()
        return found

    async def append_time(self, place: TopicPartition, offset: int) -> int:
        """When the broker appended this record. Milliseconds."""
        self.reader.assign([place])
        self.reader.seek(place, offset)
        while True:
            found = (await self.reader.getmany(place, timeout_ms=1000)).get(place)
            if found:
                self.reader.unsubscribe()
                return int(found[0].timestamp)
