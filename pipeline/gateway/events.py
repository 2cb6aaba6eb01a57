"""`/v1/events`: derived records as they come, to many streams from one consumer; resumed from Kafka itself.

The consumer runs while somebody listens. A stream that cannot keep up is ended: it resumes with its `Last-Event-ID`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.content import without_content
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import ORIGIN
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.gateway.sse import event
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.fetching import hold_fetches
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings

TOPICS = tuple(sorted({topic for agent in AGENTS for topic in agent.targets}))
"""What may be listened to: what agents derive."""
QUEUED = 1000
"""Events that may wait for a stream to take them."""
SLACK_S = 2.0
"""Append times of partitions differ a little: who resumes may get events of so many seconds twice, and loses none."""
_HOLD_MS = 100
_RECENT = 64
"""Events that are kept as they were sent: proved and written once, not once for each of thousands of streams."""
_log = structlog.get_logger("endocrine.gateway")


class Position(NamedTuple):
    """Where an event lies; its id in the stream is `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


def parse_position(text: str) -> Position:
    """Return the position that a `Last-Event-ID` names. Raises ValueError."""
    topic, partition, offset = text.rsplit("/", 2)
    if topic not in TOPICS or not all(
        part.isascii() and part.isdigit() and len(part) < 18 for part in (partition, offset)
    ):
        raise ValueError(f"{len(text)} characters; expected topic/partition/offset")
    return Position(topic, int(partition), int(offset))


@dataclass(eq=False, slots=True)
class Listener:
    """One stream: what it wants, and what waits for it."""

    topics: frozenset[str]
    identity: str | None
    content: bool
    queue: "asyncio.Queue[tuple[str, Any] | None]" = field(default_factory=lambda: asyncio.Queue(QUEUED))
    overrun: bool = False

    def wants(self, topic: str, identity: str) -> bool:
        """Return whether an event of this topic and identity is for it."""
        return topic in self.topics and self.identity in (None, identity)


class _Encoded(NamedTuple):
    """An event as it is sent, whose it is, and when that was (seconds since 1970)."""

    identity: str
    ts: float
    sent: bytes


class Broadcast:
    """The one consumer, and who listens."""

    def __init__(self, settings: Settings, seals: Seals, names: NameTable) -> None:
        self._settings = settings
        self._seals = seals
        self._registered = names
        self._names = {settings.prefix + topic: topic for topic in TOPICS}
        self._listeners: set[Listener] = set()
        self._recent: dict[tuple[Position, bool], _Encoded | None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._placed = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def count(self) -> int:
        """Streams open."""
        return len(self._listeners)

    async def close(self) -> None:
        """End all streams and the consumer."""
        for listener in list(self._listeners):
            self._overrun(listener)
        if self._reading is not None:
            await cancelled([self._reading])

    async def listen(self, listener: Listener, last: Position | None) -> AsyncGenerator[bytes, None]:
        """Yield events for one stream: those after `last`, then as they come. Raises KafkaError before the first."""
        self._listeners.add(listener)
        try:
            await self._started()
            passed: dict[tuple[str, int], int] = {}
            if last is not None:
                async with aclosing(self._since(listener, last, passed)) as pieces:
                    async for piece in pieces:
                        yield piece
            while True:
                item = await listener.queue.get()
                if item is None:
                    return
                topic, raw = item
                fresh = raw.offset >= passed.get((topic, raw.partition), 0)
                if fresh and (sent := self._event(listener, topic, raw)) is not None:
                    yield sent
                if listener.overrun and listener.queue.empty():
                    return
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._reading is not None:
                reading, self._reading = self._reading, None
                self._placed = asyncio.Event()
                reading.cancel()

    def _event(self, listener: Listener, topic: str, raw: Any) -> bytes | None:
        found = self._encoded(topic, raw, listener.content)
        if found is None or not listener.wants(topic, found.identity):
            return None
        # Asked for each stream anew: who resumes reads back to records of identities that were erased since.
        return None if self._registered.erased_before(found.identity, found.ts) else found.sent

    def _encoded(self, topic: str, raw: Any, content: bool) -> _Encoded | None:
        """The event, encoded once for all streams that take it soon after each other. None: not of ours."""
        place = Position(topic, raw.partition, raw.offset), content
        if place in self._recent:
            return self._recent[place]
        value, found = self._value(topic, raw), None
        if value is not None:
            shown = value if content else without_content(topic, value)
            identity, ts = str(value.get(CATALOGUE[topic].identity_field, "")), value.get("ts")
            when = float(ts) if isinstance(ts, int | float) else raw.timestamp / 1000
            found = _Encoded(identity, when, event(topic, shown, str(place[0])))
        self._recent[place] = found
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return found

    def _value(self, topic: str, raw: Any) -> dict[str, Any] | None:
        """The record's value; None of what is not derived by us, and of tombstones."""
        headers = dict(raw.headers)
        if raw.value is None or not headers.get(ORIGIN):
            return None
        sealed = CATALOGUE[topic].ours or CATALOGUE[topic].owner is not None
        if sealed and not self._seals.valid(topic, raw, headers):
            return None
        try:
            value = orjson.loads(raw.value)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    # ---- live ----

    async def _started(self) -> None:
        async with self._lock:
            if self._reading is None or self._reading.done():
                self._placed = asyncio.Event()
                self._reading = asyncio.create_task(self._read(self._placed), name="gateway-events")
        waiting = asyncio.create_task(self._placed.wait())
        try:
            await asyncio.wait({waiting, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not self._placed.is_set() and self._reading.done() and not self._reading.cancelled():
            self._reading.result()

    async def _read(self, placed: asyncio.Event) -> None:
        consumer = clients.consumer(self._settings, group_id=None, auto_offset_reset="latest")
        try:
            await consumer.start()
            await clients.assign_at_ends(consumer, self._places(TOPICS))
            placed.set()
            hold_fetches(consumer, _HOLD_MS)
            while True:
                for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                    for raw in records:
                        self._deliver(self._names[place.topic], raw)
        finally:
            with suppress(KafkaError):
                await consumer.stop()

    def _deliver(self, topic: str, raw: Any) -> None:
        key = (raw.key or b"").decode("utf-8", "replace")
        for listener in list(self._listeners):
            if topic in listener.topics and (listener.identity is None or key.startswith(listener.identity)):
                try:
                    listener.queue.put_nowait((topic, raw))
                except asyncio.QueueFull:
                    self._overrun(listener)

    def _overrun(self, listener: Listener) -> None:
        """It gets what waits for it, and then its stream ends."""
        listener.overrun = True
        self._listeners.discard(listener)
        with suppress(asyncio.QueueFull):
            listener.queue.put_nowait(None)

    def _places(self, topics: Iterable[str]) -> list[TopicPartition]:
        numbers = range(self._settings.partitions)
        return [TopicPartition(self._settings.prefix + topic, number) for topic in topics for number in numbers]

    # ---- resumed ----

    async def _since(
        self, listener: Listener, last: Position, passed: dict[tuple[str, int], int]
    ) -> AsyncGenerator[bytes, None]:
        """What lies on the topics after the last event; `passed` is how far that went per topic and partition.

        The last event's partition goes on right after it, the others from its append time, less the slack.
        """
        consumer = clients.reader(self._settings)
        try:
            await consumer.start()
            places = self._places(sorted(listener.topics | {last.topic}))
            if listener.identity is not None:
                own = partition_of(listener.identity, self._settings.partitions)
                places = [
                    place
                    for place in places
                    if place.partition == own or CATALOGUE[self._names[place.topic]].key == "tool"
                ]
            clients.introduce(consumer, places)
            starts = await self._starts(consumer, places, last)
            ends = await consumer.end_offsets(places)
            spans = {place: (starts.get(place, ends[place]), ends[place]) for place in places}
            async with aclosing(clients.read_until(consumer, spans)) as pieces:
                async for piece in pieces:
                    records = [(self._names[place.topic], raw) for place, found in piece.items() for raw in found]
                    for topic, raw in sorted(records, key=lambda one: one[1].timestamp):
                        if topic in listener.topics and (sent := self._event(listener, topic, raw)) is not None:
                            yield sent
            for place, end in ends.items():
                passed[self._names[place.topic], place.partition] = end
        finally:
            await consumer.stop()

    async def _starts(
        self, consumer: AIOKafkaConsumer, places: list[TopicPartition], last: Position
    ) -> dict[TopicPartition, int]:
        begun = await consumer.beginning_offsets(places)
        mine = TopicPartition(self._settings.prefix + last.topic, last.partition)
        at_ms = await self._appended(consumer, mine, last.offset)
        if at_ms is None:  # gone, or not there yet: nothing tells when it was, so only its own partition is resumed
            at_ms = int(time.time() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(places, max(0, int(at_ms - SLACK_S * 1000))))
        starts = {place: max(begun[place], at.offset) for place, at in found.items() if at is not None}
        if mine in begun:
            starts[mine] = max(begun[mine], last.offset + 1)
        return starts

    async def _appended(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> int | None:
        """Append time of the record at this place, milliseconds; None where it is not there."""
        if place.partition >= self._settings.partitions:
            return None
        begins, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        first = max(offset, begins[place])
        if first >= ends[place]:
            return None
        async with aclosing(clients.read_until(consumer, {place: (first, first + 1)})) as pieces:
            async for piece in pieces:
                for raw in piece.get(place, ()):
                    return int(raw.timestamp)
        return None
