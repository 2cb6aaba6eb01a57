"""Reading what lies on partitions already, from one offset up to another."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.kafka.fetching import Span, below

SILENCE_S = 60.0
"""Seconds without one record after which reading fails, rather than waiting for ever on a broker that is gone."""


async def read_until(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]], *, silence_s: float = SILENCE_S
) -> AsyncGenerator[dict[TopicPartition, Span], None]:
    """Yield the records of these partitions from one offset up to another (exclusive), piece by piece; a piece may be
    empty.

    An offset that holds no record (compaction, a transaction's marker, an aborted record) is passed like any other.
    Raises TimeoutError when nothing moves for `silence_s` seconds.
    """
    left = {place: end for place, (first, end) in spans.items() if first < end}
    if not left:
        return
    consumer.assign(list(left))
    for place in left:
        consumer.seek(place, spans[place][0])
    at = {place: spans[place][0] for place in left}
    heard = time.monotonic()
    while left:
        # No more than is left: of what was fetched beyond it, each record would be decoded and dropped.
        most = sum(left[place] - at[place] for place in left)
        found = await consumer.getmany(*left, timeout_ms=1000, max_records=most)
        if found:
            heard = time.monotonic()
        yield {place: below(records, left[place]) for place, records in found.items() if place in left}
        for place in list(left):
            at[place] = await consumer.position(place)
            if at[place] >= left[place]:
                del left[place]
                consumer.pause(place)
        if left and time.monotonic() - heard > silence_s:
            named = [f"{place.topic}/{place.partition} up to {end}" for place, end in list(left.items())[:3]]
            raise TimeoutError(f"no record for {silence_s:.0f} s, {len(left)} partitions unread: {', '.join(named)}")


def introduce(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
    """Make these partitions known to a started consumer of no group, at once and without fetching from them.

    Asked for offsets of topics that it does not know, it looks up one after the other and waits 0.1 s after each:
    seconds for a catalogue. Assigning tells it all of them; what is assigned later takes their place.
    """
    found = list(places)
    consumer.assign(found)
    consumer.pause(*found)
