"""What aiokafka's clients need to be told once, and how what stands on topics is read."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.settings import Settings

READ_WAIT_MS = 10
"""Milliseconds that a broker may wait for records, for readers of what stands there already (`fetch_max_wait_ms`). At
the end of one partition aiokafka still polls it, and only when that poll returns it asks for what was assigned next."""
SILENCE_S = 60.0
"""Seconds without one record after which reading fails, rather than waiting for ever on a broker that is gone."""


def reader(settings: Settings, *, longest: int | None = None, **options: Any) -> AIOKafkaConsumer:
    """A consumer of no group for what stands on topics already, to be started and stopped.

    longest: bytes of the longest batch it must take, by default that of the catalogue's topics. options: others.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * (longest or settings.topic_message_bytes),
        **{"fetch_max_wait_ms": READ_WAIT_MS} | options,
    )


async def read_until(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncGenerator[dict[TopicPartition, list[Any]], None]:
    """What stands on these partitions from one offset up to another (exclusive), piece by piece; a piece may be empty.

    Raises TimeoutError when the broker gives nothing for a minute.
    """
    left = {place: end for place, (first, end) in spans.items() if first < end}
    if not left:
        return
    consumer.assign(list(left))
    for place in left:
        consumer.seek(place, spans[place][0])
    heard = time.monotonic()
    while left:
        found = await consumer.getmany(timeout_ms=1000)
        if found:
            heard = time.monotonic()
        yield {
            place: [raw for raw in records if raw.offset < left[place]]
            for place, records in found.items()
            if place in left
        }
        for place in list(left):
            if await consumer.position(place) >= left[place]:
                del left[place]
                consumer.pause(place)
        if left and time.monotonic() - heard > SILENCE_S:
            named = [f"{place.topic}/{place.partition} up to {end}" for place, end in list(left.items())[:3]]
            raise TimeoutError(f"no record for {SILENCE_S:.0f} s, {len(left)} partitions unread: {', '.join(named)}")


def introduce(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
    """Make these partitions known to a started consumer of no group, at once and without fetching from them.

    Asked for offsets of topics that it does not know, it looks up one after the other and waits 0.1 s after each:
    seconds for a catalogue. Assigning tells it all of them; what is assigned later takes their place.
    """
    found = list(places)
    consumer.assign(found)
    consumer.pause(*found)
