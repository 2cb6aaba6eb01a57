"""Consumers: what all of them have in common, and how records that lie on topics already are read."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.kafka.connection import client_options
from endocrine.pipeline.kafka.fetching import Bound, Span, below
from endocrine.pipeline.process.settings import Settings

ISOLATION = "read_committed"
"""Of every consumer: records of transactions that were aborted, or are not yet committed, are never seen, and a topic
ends (`end_offsets`) where the first open transaction begins."""
READ_WAIT_MS = 10
"""Milliseconds that a broker may wait for records, for readers of what is there already (`fetch_max_wait_ms`). At
the end of one partition aiokafka still polls it, and only when that poll returns it asks for what was assigned next."""
SILENCE_S = 60.0
"""Seconds without one record after which reading fails, rather than waiting for ever on a broker that is gone."""


def consumer(settings: Settings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer as every one of ours is: read_committed, tolerant of what strangers write, committing by hand.

    topics: to subscribe to, as Kafka names them. options: others of AIOKafkaConsumer.
    """
    common: dict[str, Any] = {
        **client_options(settings),
        "isolation_level": ISOLATION,
        "key_deserializer": Bound(settings.max_batch_bytes),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": settings.topic_message_bytes,
    }
    return _Consumer(*topics, **common | options)


_ENDING: set["asyncio.Task[None]"] = set()
"""Consumers that were given up while they started: the loop itself keeps no task alive."""


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose start may be cancelled, as by a deadline: aiokafka would leave open the connection that it asks.

    Such a start goes on without its caller; when it ends, the consumer is stopped.
    """

    _given_up = False

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        starting = asyncio.create_task(super().start())
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._given_up = True
            ending = asyncio.create_task(self._stopped_after(starting))
            _ENDING.add(ending)
            ending.add_done_callback(_ENDING.discard)
            raise

    async def stop(self) -> None:
        """Disconnect, and leave the group; nothing where the start was cancelled, which does so by itself."""
        if not self._given_up:
            await super().stop()

    async def _stopped_after(self, starting: "asyncio.Task[None]") -> None:
        with suppress(KafkaError, OSError, TimeoutError):
            await starting
        await super().stop()


def reader(settings: Settings, *, longest: int | None = None, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer of no group for records that lie on topics already, to be started and stopped.

    longest: bytes of the longest batch it must take, by default that of the catalogue's topics. options: others.
    """
    usual: dict[str, Any] = {
        "group_id": None,
        "max_partition_fetch_bytes": 2 * (longest or settings.topic_message_bytes),
        "fetch_max_wait_ms": READ_WAIT_MS,
    }
    return consumer(settings, **usual | options)


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


async def assign_at_ends(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
    """Let a started consumer of no group read these partitions from their ends on. Raises KafkaError."""
    found = list(places)
    introduce(consumer, found)
    assign_at(consumer, await consumer.end_offsets(found))


def assign_at(consumer: AIOKafkaConsumer, next_offsets: Mapping[TopicPartition, int]) -> None:
    """Give a consumer of no group these partitions and place it at these offsets, in one go.

    A partition that is assigned before it is placed begins with a question for its offsets, and nothing is fetched
    while that is on its way: seconds, at times.
    """
    consumer.assign(list(next_offsets))
    for place, offset in next_offsets.items():
        consumer.seek(place, offset)


def introduce(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
    """Make these partitions known to a started consumer of no group, at once and without fetching from them.

    Asked for offsets of topics that it does not know, it looks up one after the other and waits 0.1 s after each:
    seconds for a catalogue. Assigning tells it all of them; what is assigned later takes their place.
    """
    found = list(places)
    consumer.assign(found)
    consumer.pause(*found)
