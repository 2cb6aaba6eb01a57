"""Consumers: what all of them have in common, and how records that lie on topics already are read."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from endocrine.pipeline.core.content_keys import TOPIC as KEYS
from endocrine.pipeline.kafka import content_keys as keys_of_content
from endocrine.pipeline.kafka.connection import client_options
from endocrine.pipeline.kafka.content_keys import ContentKeys
from endocrine.pipeline.kafka.fetching import Bound, covered
from endocrine.pipeline.kafka.spans import introduce, read_until
from endocrine.pipeline.process.content_key_file import wrapping_keys
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings

__all__ = [
    "assign_at",
    "assign_at_ends",
    "consumer",
    "content_keys",
    "introduce",
    "keys_needed",
    "read_until",
    "reader",
    "require_content_keys",
]
ISOLATION = "read_committed"
"""Of every consumer: records of transactions that were aborted, or are not yet committed, are never seen, and a topic
ends (`end_offsets`) where the first open transaction begins."""
READ_WAIT_MS = 10
"""Milliseconds that a broker may wait for records, for readers of what is there already (`fetch_max_wait_ms`). At
the end of one partition aiokafka still polls it, and only when that poll returns it asks for what was assigned next."""


def consumer(settings: Settings, *topics: str, as_stored: bool = False, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer as every one of ours is: read_committed, tolerant of what strangers write, committing by hand.

    topics: to subscribe to, as Kafka names them. as_stored: content that is encrypted is left so, for whoever copies
    records or proves them; else it is given in clear. options: others of AIOKafkaConsumer. Raises KeyFileError.
    """
    common: dict[str, Any] = {
        **client_options(settings),
        "isolation_level": ISOLATION,
        "key_deserializer": Bound(settings.max_batch_bytes),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": settings.topic_message_bytes,
    }
    made = _Consumer(*topics, **common | options)
    made.prefix, made.keys = settings.prefix, None if as_stored else content_keys(settings)
    return made


def content_keys(settings: Settings) -> ContentKeys | None:
    """Return the keys of a deployment's content, to be stopped; None where it has none. Raises KeyFileError."""
    return keys_of_content.content_keys(settings, lambda: reader(settings, as_stored=True))


def keys_needed(settings: Settings) -> KeyFileError:
    """Return the error of a process that has no file of keys, where content is encrypted."""
    return KeyFileError(
        f"content of this deployment is encrypted: {settings.prefix}{KEYS} holds keys; expected "
        "ENDOCRINE_CONTENT_KEY_FILE to name the file of keys that wrap them"
    )


async def require_content_keys(settings: Settings) -> None:
    """Return where content can be had in clear; for services that would take its placeholder for content.

    Raises KeyFileError where content is encrypted and there is no file of keys, and KafkaError.
    """
    if wrapping_keys(settings):
        return
    asker = reader(settings, as_stored=True)
    try:
        await asker.start()
        if settings.prefix + KEYS not in await asker.topics():
            return  # of a version that could not encrypt
        places = [TopicPartition(settings.prefix + KEYS, number) for number in range(settings.partitions)]
        introduce(asker, places)
        if any((await asker.end_offsets(places)).values()):
            raise keys_needed(settings)
    finally:
        await asker.stop()


_ENDING: set["asyncio.Task[None]"] = set()
"""Consumers that were given up while they started: the loop itself keeps no task alive."""


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A consumer whose start may be cancelled, as by a deadline: aiokafka would leave open the connection that it asks.

    Such a start goes on without its caller; when it ends, the consumer is stopped.
    """

    _given_up = False
    prefix = ""
    keys: ContentKeys | None = None
    """Keys of content, which is given in clear by them."""

    async def getmany(self, *given: Any, **named: Any) -> Any:
        """See AIOKafkaConsumer."""
        found = await super().getmany(*given, **named)
        if self.keys is not None:
            try:
                for place, records in found.items():
                    records[:] = await self.keys.in_clear(place.topic.removeprefix(self.prefix), records)
            except BaseException:
                self._put_back({place: covered(records)[0] for place, records in found.items()})
                raise
        return found

    async def getone(self, *given: Any) -> Any:
        """See AIOKafkaConsumer."""
        raw = await super().getone(*given)
        if self.keys is None:
            return raw
        try:
            return (await self.keys.in_clear(raw.topic.removeprefix(self.prefix), [raw]))[0]
        except BaseException:
            self._put_back({TopicPartition(raw.topic, raw.partition): raw.offset})
            raise

    def _put_back(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have what nobody got fetched again, where the partition is still ours."""
        for place, offset in offsets.items():
            with suppress(IllegalStateError):
                self.seek(place, offset)

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
        if self.keys is not None:
            await self.keys.stop()
        if not self._given_up:
            await super().stop()

    async def _stopped_after(self, starting: "asyncio.Task[None]") -> None:
        with suppress(KafkaError, OSError, TimeoutError):
            await starting
        await super().stop()


def reader(
    settings: Settings, *, longest: int | None = None, as_stored: bool = False, **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer of no group for records that lie on topics already, to be started and stopped.

    longest: bytes of the longest batch it must take, by default that of the catalogue's topics. as_stored: see
    `consumer`. options: others.
    """
    usual: dict[str, Any] = {
        "group_id": None,
        "max_partition_fetch_bytes": 2 * (longest or settings.topic_message_bytes),
        "fetch_max_wait_ms": READ_WAIT_MS,
    }
    return consumer(settings, as_stored=as_stored, **usual | options)


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
