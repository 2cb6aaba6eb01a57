"""Records of some keys over many topics as one list, newest first: a bounded read of Kafka, page after page.

Each partition is read backwards in growing spans, and the newest of what was found is taken until the page is full, or
until so many records were looked at. The cursor holds the offset of each partition that the next page ends before, so
that no record is shown twice or left out, whatever times records carry.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

_SILENCE_S = 20.0  # what is found is looked at between two pieces, and that time counts
_AT_ONCE = asyncio.Semaphore(4)
_FIRST_SPAN = 250
"""Offsets of a partition that are read first; each further span is twice as long."""
MOST_LOOKED_AT = 20_000
"""Records that one page looks at."""
Cursor = Mapping[tuple[str, int], int]
"""Topic without prefix and partition, to the offset that the next page ends before."""


@dataclass(frozen=True)
class Keys:
    """Which records of a topic are meant. takes: called with what has one of the keys; None: all of it."""

    topic: str
    keys: frozenset[str]
    takes: Callable[[Any], bool] | None = None
    owners: frozenset[str] | None = None
    """Identities and subjects on whose partitions they lie; None: the keys are such names."""


@dataclass
class Timeline:
    """A page: (topic without prefix, record), newest first. next: None where nothing older is there."""

    records: list[tuple[str, Any]] = field(default_factory=list)
    next: Cursor | None = None
    looked_at: int = 0
    back_to: float | None = None
    """Append time of the oldest record that was looked at, seconds; None: none was."""


@dataclass
class _Partition:
    """One partition that is read backwards."""

    meant: Keys
    first: int
    """The first offset there is."""
    low: int
    """What lies below was not read yet."""
    span: int = _FIRST_SPAN
    found: deque[Any] = field(default_factory=deque)
    """Records that were found and not yet taken, the newest on the left."""
    oldest: float = float("inf")
    """Lowest time of what was looked at, milliseconds."""

    @property
    def is_short(self) -> bool:
        """Whether it must be read on before it is known what comes next."""
        return not self.found and self.low > self.first


async def newest(
    settings: Settings,
    meant: Iterable[Keys],
    limit: int,
    cursor: Cursor | None = None,
    most: int = MOST_LOOKED_AT,
) -> Timeline:
    """Return the newest records of these keys, or those before a cursor; each topic is named once.

    most: records that are looked at. Raises KafkaError, TimeoutError.
    """
    places = {
        TopicPartition(settings.prefix + one.topic, number): one
        for one in meant
        for number in {partition_of(name, settings.partitions) for name in one.owners or one.keys}
    }
    async with _AT_ONCE:
        consumer = clients.reader(settings)
        try:
            await consumer.start()
            clients.introduce(consumer, places)
            begins, ends = await consumer.beginning_offsets(list(places)), await consumer.end_offsets(list(places))
            parts = {}
            for place, one in places.items():
                end = ends[place] if cursor is None else min(cursor.get((one.topic, place.partition), 0), ends[place])
                parts[place] = _Partition(one, begins[place], max(end, begins[place]))
            return await _merged(consumer, parts, limit, most)
        finally:
            await consumer.stop()


async def _merged(
    consumer: AIOKafkaConsumer, parts: Mapping[TopicPartition, _Partition], limit: int, most: int
) -> Timeline:
    page = Timeline()
    while len(page.records) < limit:
        short = {place: part for place, part in parts.items() if part.is_short}
        if short and page.looked_at < most:
            page.looked_at += await _read_on(consumer, short, most - page.looked_at)
            continue
        # What is not older than all that was looked at elsewhere comes next, even where one cannot read on.
        bound = max((part.oldest for part in short.values()), default=float("-inf"))
        ready = [part for part in parts.values() if part.found and part.found[0].timestamp >= bound]
        if not ready:
            break
        part = max(ready, key=lambda one: one.found[0].timestamp)
        page.records.append((part.meant.topic, part.found.popleft()))
    left = {
        (part.meant.topic, place.partition): part.found[0].offset + 1 if part.found else part.low
        for place, part in parts.items()
    }
    if any(part.found or part.low > part.first for part in parts.values()):
        page.next = left
    times = [part.oldest for part in parts.values() if part.oldest != float("inf")]
    page.back_to = min(times) / 1000 if times else None
    return page


async def _read_on(consumer: AIOKafkaConsumer, parts: Mapping[TopicPartition, _Partition], most: int) -> int:
    """Read one more span of these partitions; return the number of records looked at."""
    spans, looked_at = {}, 0
    for place, part in parts.items():
        begin = max(part.first, part.low - max(1, min(part.span, most // len(parts))))
        spans[place] = (begin, part.low)
        part.low, part.span = begin, part.span * 2
    async with aclosing(clients.read_until(consumer, spans, silence_s=_SILENCE_S)) as pieces:
        async for piece in pieces:
            for place, records in piece.items():
                part = parts[place]
                for raw in records:
                    looked_at += 1
                    part.oldest = min(part.oldest, raw.timestamp)
                    if _is_meant(part.meant, raw):
                        part.found.appendleft(raw)
    return looked_at


def _is_meant(meant: Keys, raw: Any) -> bool:
    key = (raw.key or b"").decode("utf-8", "replace")
    return key in meant.keys and (meant.takes is None or meant.takes(raw))


def shown_cursor(cursor: Cursor | None) -> str | None:
    """Return a cursor as one parameter of an address: `topic.partition.offset`, joined by `~`.

    >>> shown_cursor({("bond-events", 2): 17})
    'bond-events.2.17'
    """
    if cursor is None:
        return None
    return "~".join(f"{topic}.{partition}.{offset}" for (topic, partition), offset in sorted(cursor.items()))


def cursor_of(text: str | None, topics: Sequence[str]) -> Cursor | None:
    """Return the cursor that a parameter holds; None without one. topics: those it may name. Raises Problem, 422."""
    if not text:
        return None
    found = {}
    for part in text.split("~"):
        topic, _, rest = part.partition(".")
        partition, _, offset = rest.partition(".")
        whole = all(one.isascii() and one.isdigit() and len(one) < 19 for one in (partition, offset))
        if topic not in topics or not whole:
            raise Problem("invalid", "query before: not one of a page before", field="before")
        found[topic, int(partition)] = int(offset)
    return found
