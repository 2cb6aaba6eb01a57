"""Records of topics in a stretch of time, streamed: for commands that look through topics, in bounded memory."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.process.settings import Settings

PartitionKey = tuple[str, int]
"""Topic without prefix, and partition."""
Batch = tuple[str, int, Sequence[Any]]
"""Topic without prefix, partition, and records of it in offset order."""


class NoSuchTopic(LookupError):
    """A topic is not on the broker, or has no such partition. The message names what to do."""


async def batches(
    settings: Settings,
    topics: Iterable[str],
    *,
    partition: int | None = None,
    since: float | None = None,
    until: float | None = None,
    starts: Mapping[PartitionKey, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_ends: Callable[[Mapping[PartitionKey, int]], None] | None = None,
    on_skipped: Callable[[PartitionKey, int, int], None] | None = None,
    as_stored: bool = False,
) -> AsyncGenerator[Batch, None]:
    """Yield the records on these topics (without prefix) at the call, batch by batch, each partition in offset order.

    since, until: seconds by append time, the first included, the second not. starts: offsets to begin at, where that
    is not the beginning. progress: called with the offsets passed and those there are. on_ends: called with the offset
    that each partition's next record gets. on_skipped: called, before the records around them, with the offset from
    which and the one up to which (exclusive) lie markers and aborted records of transactions. as_stored: content that
    is encrypted is left so. Raises NoSuchTopic;
    TimeoutError when the broker gives nothing for a minute; aiokafka's KafkaError when none answers.
    """
    consumer = reader(settings, as_stored=as_stored)
    try:
        await consumer.start()
        names = await places_of(settings, topics, partition)
        introduce(consumer, names)
        firsts = await consumer.beginning_offsets(list(names))
        ends = await consumer.end_offsets(list(names))
        if on_ends:
            on_ends({names[place]: end for place, end in ends.items()})
        begin = {place: max(first, (starts or {}).get(names[place], 0)) for place, first in firsts.items()}
        after, before = _milliseconds(since), _milliseconds(until)
        if after is not None:
            found = await _offsets_at(consumer, names, after)
            begin = {place: max(first, found.get(place, ends[place])) for place, first in begin.items()}
        if before is not None:
            ends |= await _offsets_at(consumer, names, before)
        spans = {place: (begin[place], end) for place, end in ends.items()}
        done, total = 0, sum(max(0, end - first) for first, end in spans.values())
        async for piece in read_until(consumer, spans):
            for place, records in piece.items():
                done += records.next_offset - records.first_offset
                if on_skipped:
                    for first, after in records.skipped:
                        on_skipped(names[place], first, after)
                # The append times of a partition may step back a little: a seek alone is not exact.
                if wanted := [raw for raw in records if _within(raw.timestamp, after, before)]:
                    yield *names[place], wanted
            if progress:
                progress(min(done, total), total)
    finally:
        await consumer.stop()


async def places_of(
    settings: Settings, topics: Iterable[str], partition: int | None
) -> dict[TopicPartition, PartitionKey]:
    admin = admin_client(settings)
    await admin.start()
    try:
        # Of all topics: to ask for one by name may create it. What is there counts, not what settings say: a partition
        # that is overlooked would be one that nobody checks.
        found = await admin.describe_topics()
    finally:
        await admin.close()
    existing = {topic["topic"]: [part["partition"] for part in topic["partitions"]] for topic in found}
    names: dict[TopicPartition, PartitionKey] = {}
    for topic in topics:
        full = settings.prefix + topic
        numbers = sorted(existing.get(full, ()))
        if not numbers:
            raise NoSuchTopic(
                f"topic {full} does not exist at {settings.bootstrap}; `endocrine topics create` makes it"
                + (f", unless {settings.kafka_principal} lacks the ACL READ on it" if settings.secured else "")
            )
        if partition is not None and partition not in numbers:
            raise NoSuchTopic(f"{full} has no partition {partition}; expected 0 to {len(numbers) - 1}")
        names |= {TopicPartition(full, n): (topic, n) for n in numbers if partition in (None, n)}
    return names


async def _offsets_at(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition], milliseconds: int
) -> dict[TopicPartition, int]:
    """The first offset at or after a time, of the partitions that have one."""
    found = await consumer.offsets_for_times(dict.fromkeys(places, milliseconds))
    return {place: at.offset for place, at in found.items() if at is not None}


def _milliseconds(seconds: float | None) -> int | None:
    # Rounded first: 0.123 s times 1000 may come out a hair above 123 ms.
    return None if seconds is None else ceil(round(seconds * 1000, 3))


def _within(when: int, after: int | None, before: int | None) -> bool:
    return (after is None or when >= after) and (before is None or when < before)
