"""One page of a topic, read on or back from a place: records of all partitions in the order of their append times.

What was read is counted by offset and partition, so the pages before and after begin exactly where this one ends:
no record is left out between them, and none is shown twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from endocrine.pipeline.console.browsing.query import Browse
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, places_of
from endocrine.pipeline.process.settings import Settings

Accept = Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
"""Returns those of some records that are kept."""
_SILENCE_S = 20.0  # a filter works between two pieces, and that time counts
LONGEST_S = 30.0
"""Seconds that one page may take."""
_AT_ONCE = asyncio.Semaphore(4)
FIRST_WINDOW = 1_000
"""Offsets that are read first where some records are left out; four times as many after that, and so on."""


@dataclass(frozen=True)
class Bounds:
    """Of one page."""

    records: int = 50
    looked_at: int = 20_000
    """Records read, where only some are kept."""
    bytes: int = 32 << 20
    """Of values that are kept."""


@dataclass
class Found:
    """Records, oldest first by append time, and where they are."""

    ends: dict[int, tuple[int, int]]
    """First offset and end of each partition that is read."""
    lower: dict[int, int]
    """Where this page begins: the page before ends there."""
    upper: dict[int, int]
    """Where the page after begins."""
    records: list[Any] = field(default_factory=list)
    looked_at: int = 0

    @property
    def older(self) -> bool:
        """Whether there are offsets before this page."""
        return any(self.lower[partition] > first for partition, (first, _) in self.ends.items())

    @property
    def newer(self) -> bool:
        """Whether there are offsets after it."""
        return any(self.upper[partition] < end for partition, (_, end) in self.ends.items())


async def scan(settings: Settings, browse: Browse, accept: Accept, bounds: Bounds) -> Found:
    """Read a page. Raises NoSuchTopic, KafkaError, TimeoutError."""
    async with _AT_ONCE, asyncio.timeout(LONGEST_S), _reader(settings) as consumer:
        places = sorted(await places_of(settings, [browse.topic], None))
        if browse.partition is not None:
            places = [one for one in places if one.partition == browse.partition]
            if not places:
                raise NoSuchTopic(f"{settings.prefix}{browse.topic} has no partition {browse.partition}")
        clients.introduce(consumer, places)
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        span = {place.partition: (begins[place], ends[place]) for place in places}
        start = {number: min(max(first, at), end) for (number, (first, end)), at in
                 zip(span.items(), await _start(consumer, browse, places, span), strict=True)}  # fmt: skip
        found = Found(span, dict(start), dict(start))
        await _Scan(consumer, browse, accept, bounds, found, settings.prefix).run()
        found.records.sort(key=_order)
        return found


def _order(raw: Any) -> tuple[int, int, int]:
    return raw.timestamp, raw.partition, raw.offset


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncGenerator[Any, None]:
    consumer = clients.reader(settings)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _start(
    consumer: Any, browse: Browse, places: Sequence[TopicPartition], span: Mapping[int, tuple[int, int]]
) -> list[int]:
    """Where to begin in each partition."""
    named = browse.before if browse.before is not None else browse.after
    if named is not None:
        # A partition that the link does not name was not there then.
        return [named.get(one.partition, span[one.partition][1 if browse.backward else 0]) for one in places]
    if browse.offset is not None:
        return [browse.offset for _ in places]
    if browse.since is not None:
        at = await consumer.offsets_for_times(dict.fromkeys(places, int(browse.since * 1000)))
        return [at[one].offset if at[one] else span[one.partition][1] for one in places]
    return [span[one.partition][1] for one in places]


class _Scan:
    def __init__(self, consumer: Any, browse: Browse, accept: Accept, bounds: Bounds, found: Found, prefix: str):
        self.consumer, self.accept, self.bounds, self.found = consumer, accept, bounds, found
        self.back, self.filtered, self.topic = browse.backward, browse.filtered, prefix + browse.topic
        self.moving = found.lower if self.back else found.upper
        self.full = False
        """Whether there is no room in bytes for more."""
        self.seen: dict[int, int] = {}
        """Append time, in milliseconds, that reading has come to in each partition."""
        self.left_out: dict[int, int] = {}
        """Of records that are kept but have no room: the offset that is nearest to where the page began."""

    async def run(self) -> None:
        kept: list[Any] = []
        factor = 1
        while spans := self._spans(factor, self.bounds.records - len(self._settled(kept))):
            async with aclosing(clients.read_until(self.consumer, spans, silence_s=_SILENCE_S)) as pieces:
                async for piece in pieces:
                    for records in piece.values():
                        self._see(records)
                        kept += await self.accept(records)
                    kept = self._trimmed(kept)
            for place, (low, high) in spans.items():
                self.moving[place.partition] = low if self.back else high
            factor *= 4  # markers and compaction leave stretches without a record
            if self.found.looked_at >= self.bounds.looked_at or self.full:
                break
        else:
            settled = self._settled(kept)
            self._leave_out(kept[len(settled) :])
        # What was left out belongs to the next page, and whatever lies behind it.
        for partition, offset in self.left_out.items():
            if self.back:
                self.moving[partition] = max(self.moving[partition], offset + 1)
            else:
                self.moving[partition] = min(self.moving[partition], offset)
        self.found.records = [raw for raw in kept if self._within(raw)]

    def _see(self, records: Sequence[Any]) -> None:
        self.found.looked_at += len(records)
        for raw in records:
            last = self.seen.setdefault(raw.partition, raw.timestamp)
            self.seen[raw.partition] = (min if self.back else max)(last, raw.timestamp)

    def _settled(self, kept: Sequence[Any]) -> Sequence[Any]:
        """Those before which no unread record of another partition comes; kept in the order of the page."""
        ends = self.found.ends
        unread = [p for p, at in self.moving.items() if (at > ends[p][0] if self.back else at < ends[p][1])]
        if not all(partition in self.seen for partition in unread):
            return []
        times = [self.seen[partition] for partition in unread]
        if self.back:
            return [raw for raw in kept if raw.timestamp >= max(times, default=raw.timestamp)]
        return [raw for raw in kept if raw.timestamp <= min(times, default=raw.timestamp)]

    def _spans(self, factor: int, missing: int) -> dict[TopicPartition, tuple[int, int]]:
        """The offsets to read next of each partition that has some; empty: there are none, or enough was found."""
        if missing <= 0:
            return {}
        ends = self.found.ends
        open_ = [p for p, at in self.moving.items() if (at > ends[p][0] if self.back else at < ends[p][1])]
        if not open_:
            return {}
        if self.filtered:
            left = self.bounds.looked_at - self.found.looked_at
            each = max(1, min(factor * FIRST_WINDOW, left) // len(open_))
        else:
            each = factor * missing  # of each: all of the page may be on one
        spans = {}
        for partition in open_:
            at, (first, end) = self.moving[partition], ends[partition]
            span = (max(first, at - each), at) if self.back else (at, min(end, at + each))
            spans[TopicPartition(self.topic, partition)] = span
        return spans

    def _trimmed(self, kept: list[Any]) -> list[Any]:
        """The records of the page so far: the nearest ones, within the bounds of number and bytes."""
        kept.sort(key=_order, reverse=self.back)
        size = 0
        for number, raw in enumerate(kept):
            size += len(raw.value or b"")
            if number >= self.bounds.records or (number and size > self.bounds.bytes):
                self.full = self.full or number < self.bounds.records
                self._leave_out(kept[number:])
                return kept[:number]
        return kept

    def _leave_out(self, records: Sequence[Any]) -> None:
        for one in records:
            nearest = self.left_out.setdefault(one.partition, one.offset)
            self.left_out[one.partition] = (max if self.back else min)(nearest, one.offset)

    def _within(self, raw: Any) -> bool:
        at = self.moving[raw.partition]
        return bool(raw.offset >= at if self.back else raw.offset < at)
