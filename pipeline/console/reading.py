"""Bounded reads of a topic: the newest records, or those from a place or a time on."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, places_of
from endocrine.pipeline.process.settings import Settings

_SILENCE_S = 5.0
_AT_ONCE = asyncio.Semaphore(4)
MOST_LOOKED_AT = 20_000
"""Records that one page looks at where it keeps only some."""


@dataclass(frozen=True)
class Wanted:
    """What to read. partition: None for all. offset: where to begin, of one partition. since: append time, seconds."""

    topic: str
    partition: int | None = None
    offset: int | None = None
    since: float | None = None
    key: str | None = None
    """Of this key."""
    contains: str | None = None
    """With this text in the value."""
    limit: int = 50

    @property
    def forward(self) -> bool:
        """Whether to read on from a place or a time; else the newest are wanted."""
        return self.offset is not None or self.since is not None

    def takes(self, raw: Any) -> bool:
        """Return whether a record is one of those."""
        if self.key is not None and raw.key != self.key.encode():
            return False
        return self.contains is None or self.contains.encode() in (raw.value or b"")


@dataclass
class Found:
    """Records, oldest first by append time, and the bounds of each partition."""

    records: list[Any] = field(default_factory=list)
    bounds: dict[int, tuple[int, int]] = field(default_factory=dict)
    looked_at: int = 0
    stopped: bool = False
    """Whether more was not looked at."""


async def read(settings: Settings, wanted: Wanted) -> Found:
    """Read what is wanted and no more. Raises NoSuchTopic, KafkaError, TimeoutError."""
    async with _AT_ONCE:
        consumer = clients.reader(settings)
        try:
            await consumer.start()
            places = sorted(await places_of(settings, [wanted.topic], None))
            if wanted.partition is not None and wanted.partition not in {one.partition for one in places}:
                raise NoSuchTopic(f"{settings.prefix}{wanted.topic} has no partition {wanted.partition}")
            clients.introduce(consumer, set(places))
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            found = Found(bounds={place.partition: (begins[place], ends[place]) for place in places})
            read_now = [one for one in places if wanted.partition in (None, one.partition)]
            spans = await _spans(consumer, wanted, read_now, begins, ends)
            async with aclosing(clients.read_until(consumer, spans, silence_s=_SILENCE_S)) as pieces:
                async for piece in pieces:
                    for records in piece.values():
                        for raw in records:
                            found.looked_at += 1
                            if wanted.takes(raw):
                                found.records.append(raw)
                    full = wanted.forward and len(found.records) >= wanted.limit
                    if full or found.looked_at >= MOST_LOOKED_AT:
                        found.stopped = True
                        break
            found.records.sort(key=lambda raw: (raw.timestamp, raw.partition, raw.offset))
            found.records = found.records[: wanted.limit] if wanted.forward else found.records[-wanted.limit :]
            return found
        finally:
            await consumer.stop()


async def _spans(
    consumer: Any,
    wanted: Wanted,
    places: list[TopicPartition],
    begins: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
) -> dict[TopicPartition, tuple[int, int]]:
    """The offsets to read of each partition: from a place or a time on, else the last ones."""
    if wanted.offset is not None:
        return {place: (min(max(begins[place], wanted.offset), ends[place]), ends[place]) for place in places}
    if wanted.since is not None:
        at = await consumer.offsets_for_times(dict.fromkeys(places, int(wanted.since * 1000)))
        return {place: (at[place].offset if at[place] else ends[place], ends[place]) for place in places}
    filtered = wanted.key is not None or wanted.contains is not None
    back = MOST_LOOKED_AT // len(places) if filtered else wanted.limit
    return {place: (max(begins[place], ends[place] - back), ends[place]) for place in places}
