"""Keys of content over Kafka: read when one is missing, written before what they encrypt."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.content import ENCRYPTED
from endocrine.pipeline.core.content_keys import TOPIC, ContentKeyError, KeyDestroyed, KeyTable, KeyUnknown
from endocrine.pipeline.core.encryption import blank, closed, key_ids_in, opened
from endocrine.pipeline.core.partitioning import canonical
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.kafka.spans import introduce, read_until
from endocrine.pipeline.process.content_key_file import wrapping_keys
from endocrine.pipeline.process.seal_keys import KeyFileError, known_seals, load_seals
from endocrine.pipeline.process.settings import Settings

FRESH_S = 1.0
"""Seconds after which who writes looks again whether a key was destroyed."""


class OpenedRecord(ConsumerRecord):  # type: ignore[misc]  # aiokafka has no types
    """A fetched record with its content in clear. stored: its value as it lies on the topic, which its seal covers."""

    stored: bytes | None = None


class _Reader:
    """Keys as far as their topic was read, for all of an event loop who have one deployment's settings.

    connect: returns a consumer, to be started, that gives content as it is stored.
    """

    def __init__(self, settings: Settings, table: KeyTable, connect: Callable[[], Any]) -> None:
        self.settings, self.table, self._connect = settings, table, connect
        self.users = 0
        self._consumer: Any = None
        self._at: dict[Any, int] = {}
        self._looked = float("-inf")
        self._reading = asyncio.Lock()

    async def stop(self) -> None:
        """Disconnect."""
        async with self._reading:
            if self._consumer is not None:
                consumer, self._consumer = self._consumer, None
                await consumer.stop()

    async def refresh(self, max_age_s: float = 0.0) -> None:
        """Read the topic up to its end, unless that was done so many seconds ago.

        Raises KafkaError, TimeoutError, and KeyFileError where a key of the file is missing.
        """
        asked = time.monotonic()
        async with self._reading:
            if self._looked >= asked - max_age_s:
                return
            began = time.monotonic()
            if self._consumer is None:
                consumer = self._connect()
                try:
                    await consumer.start()
                    name, numbers = self.settings.prefix + TOPIC, range(self.settings.partitions)
                    places = [TopicPartition(name, number) for number in numbers]
                    introduce(consumer, places)
                    self._at = await consumer.beginning_offsets(places)
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            ends = await self._consumer.end_offsets(list(self._at))
            spans = {place: (at, ends[place]) for place, at in self._at.items()}
            async for found in read_until(self._consumer, spans):
                for records in found.values():
                    try:
                        self.table.add(records)
                    except ContentKeyError as error:
                        raise KeyFileError(str(error)) from None
            self._at = dict(ends)
            self._looked = began


_READERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Reader]] = WeakKeyDictionary()
"""Of each event loop: many consumers come and go in one process, and the keys are read once."""


class ContentKeys:
    """The keys of a deployment's content, for one consumer or producer of a process. Nothing is connected until a key
    is needed. To be used in one event loop, and stopped. make: returns the reader where this is the first."""

    def __init__(self, settings: Settings, make: Callable[[], _Reader]) -> None:
        self.settings, self._make = settings, make
        self._reader: _Reader | None = None

    @property
    def _shared(self) -> _Reader:
        if self._reader is None:
            readers = _READERS.setdefault(asyncio.get_running_loop(), {})
            if self.settings not in readers:
                readers[self.settings] = self._make()
            self._reader = readers[self.settings]
            self._reader.users += 1
        return self._reader

    @property
    def table(self) -> KeyTable:
        """The keys that were read so far."""
        return self._shared.table

    async def stop(self) -> None:
        """Give it back; the last one disconnects."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.users -= 1
            if not reader.users:
                _READERS.get(asyncio.get_running_loop(), {}).pop(self.settings, None)
                await reader.stop()

    async def refresh(self, max_age_s: float = 0.0) -> None:
        """Read the topic up to its end, unless that was done so many seconds ago.

        Raises KafkaError, TimeoutError, and KeyFileError where a key of the file is missing.
        """
        await self._shared.refresh(max_age_s)

    async def ready(self, topic: str, records: Iterable[Any]) -> None:
        """Return when the keys that these records name are known, as far as they are on the topic at all."""
        if topic not in ENCRYPTED:
            return
        named = {key_id for raw in records for key_id in key_ids_in(raw.value)}
        if any(not self.table.knows(key_id) for key_id in named):
            await self.refresh()

    async def in_clear(self, topic: str, records: Sequence[Any]) -> list[Any]:
        """Return records with their content in clear; blank where its key is destroyed, or nowhere."""
        await self.ready(topic, records)
        return [self._opened(topic, raw) for raw in records]

    def _opened(self, topic: str, raw: Any) -> Any:
        if not key_ids_in(raw.value):
            return raw
        try:
            value = opened(topic, raw.value, self.table)
        except (KeyDestroyed, KeyUnknown):
            value = blank(topic, raw.value)
        if value is raw.value:
            return raw
        found = OpenedRecord(**{name: getattr(raw, name) for name in raw.__dataclass_fields__} | {"value": value})
        object.__setattr__(found, "stored", raw.value)
        return found

    async def closed(self, topic: str, value: Mapping[str, Any], producer: AIOKafkaProducer) -> Mapping[str, Any]:
        """Return a value for a topic with its content encrypted, once the key is where all find it. producer: started.

        Raises KafkaError.
        """
        whose = value.get(CATALOGUE[topic].identity_field) if topic in ENCRYPTED else None
        if not self.table.encrypts or not isinstance(whose, str) or not whose:
            return value
        await self.refresh(FRESH_S)
        written, key_ids = closed(topic, canonical(whose), value, self.table)
        await self.save(self.table.unsaved(key_ids), producer)
        return written

    async def save(self, records: Iterable[OutputRecord], producer: AIOKafkaProducer) -> None:
        """Produce records of keys, and wait until the broker has them. Raises KafkaError."""
        records = list(records)
        for out in records:
            await producer.send_and_wait(
                self.settings.prefix + out.topic,
                out.value,
                key=out.key,
                partition=out.partition,
                headers=list(out.own),
            )
        self.table.saved(records)


def content_keys(settings: Settings, connect: Callable[[], Any]) -> ContentKeys | None:
    """Return the keys of a deployment, nothing of them read yet; None where it has none. Raises KeyFileError."""
    wrapping = wrapping_keys(settings)
    if not wrapping:
        return None
    encrypts = settings.content_encryption == "on"
    seals = load_seals(settings) if encrypts else known_seals(settings)

    def made() -> _Reader:
        return _Reader(settings, KeyTable(wrapping, seals, settings.partitions, encrypts=encrypts), connect)

    return ContentKeys(settings, made)
