"""Produce a record and await what is derived from it: one producer and one consumer without a group per instance.

The consumer is assigned every partition of the topics below, at their ends before anything is served. A derived record
counts only with a valid seal and from the agent that writes its topic: a forged decision never reaches a client.
"""

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Self

import orjson
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import dead_letters_of, holds_dead_letters, source_of
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND, ORIGIN, SEAL, TRACEPARENT, is_traceparent
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.data.ingest.produce import message
from endocrine.pipeline.gateway.watch import Refused, Watch, Watches
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.following import HELD_MS, fetches
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.logs import Seldom
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.tracing import DOOR

SOURCE = "endocrine/gateway"
"""CloudEvents source of records that come in by this door."""
AUTHORS: Mapping[str, bytes | None] = {
    "modulations": b"modulation/",
    "tool-decisions": b"gating/",
    "interactions": b"conversation/",
    "model-requests": b"conversation/",
    "model-replies": None,
    "model-chunks": None,
    "bond-events": b"bonds/",
    "state-events": b"trust/",
    "memory-events": b"memory/",
    "conflict-events": b"conflicts/",
    "link-events": b"linkage/",
}
"""Derived topics that are followed, with what `endocrine-origin` must begin with; None: a connector writes it. A sealed
`interactions` record of another origin is an outsider's, forwarded to the partition where it belongs."""
ANSWERED_SOURCES = ("interactions", "tool-calls", "tool-results", "commands")
"""Topics whose dead letters are followed: a record of ours that is refused is answered at once, not at the deadline."""
OUTCOMES = ("bond-events", "state-events", "memory-events", "conflict-events", "link-events")
"""Of the derived topics, those whose records are distinguished by the record that caused them: outcomes of commands."""
_STOP_S = 5.0
_log = structlog.get_logger("endocrine.gateway")
_UNSEALED = Seldom(_log, "unsealed")


class NotRecorded(Exception):
    """Kafka did not acknowledge a record in time. It may have been written all the same."""


class Acknowledged(NamedTuple):
    """A record that Kafka has."""

    partition: int
    offset: int
    ack_s: float
    """Seconds from sending it to the acknowledgement."""
    at: float
    """When that came; seconds since 1970."""


class Awaiting:
    """`async with Awaiting(settings, seals) as awaiting`; then, per request:

        with awaiting.turn(identity, audit_id, record_ids=[record_id]) as watch:
            await awaiting.produce("interactions", value)
            async with asyncio.timeout(2):
                seen = await watch.until(lambda w: w.modulations.get(0))

    Leaving the block ends the registration. Raises aiokafka's KafkaError when no broker answers at start.
    """

    def __init__(self, settings: Settings, seals: Seals, *, most: int = 1000, ack_s: float = 5.0) -> None:
        self._settings = settings
        self._seals = seals
        self._ack_s = ack_s
        self.watches = Watches(most)
        self._names = {
            settings.prefix + name: name
            for name in (*AUTHORS, *(dead_letters_of(topic) for topic in ANSWERED_SOURCES))
            if source_of(name) in CATALOGUE
        }
        self._producer = connection.producer(
            settings,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            request_timeout_ms=int(max(1.0, ack_s) * 1000),
            max_request_size=settings.topic_message_bytes,
        )
        self._consumer = clients.consumer(
            settings, group_id=None, auto_offset_reset="latest", fetch_max_wait_ms=HELD_MS
        )
        self._keys = clients.content_keys(settings)
        self._reading: asyncio.Task[None] | None = None
        self.dropped = 0
        """Records that somebody waited for by their key and that were not ours: no valid seal, or another author."""

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(self._producer.start(), self._consumer.start())
            await self._to_the_end()
        except BaseException:
            await self._disconnect()
            raise
        self._reading = asyncio.create_task(self._read(), name="gateway-awaiting")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            await cancelled([self._reading])
        await self._disconnect()

    @property
    def following(self) -> bool:
        """Whether derived records are being read."""
        return self._reading is not None and not self._reading.done()

    @property
    def topics(self) -> list[str]:
        """Topics that are followed, without prefix."""
        return list(self._names.values())

    @contextmanager
    def turn(self, identity: str, audit_id: str | None, *, record_ids: Collection[str] = ()) -> Iterator[Watch]:
        """Follow one turn from now on; audit_id None: whatever there is of the identity. Raises Overloaded."""
        with self.watches.registered(Watch(identity, audit_id, record_ids)) as watch:
            yield watch

    async def produce(
        self, topic: str, value: Mapping[str, Any], *, traceparent: str | None = None, sealed: bool = False
    ) -> Acknowledged:
        """Send a record (`value["id"]` is its id) under its identity and wait for all replicas. Raises NotRecorded.

        traceparent: the caller's; where traces are on, that of the door's span, which lies beneath it, takes its place.
        sealed: as one of our own, for what only a door of ours may say.
        """
        traceparent = DOOR.get() or traceparent
        try:
            async with asyncio.timeout(self._ack_s):
                if self._keys is not None:
                    value = await self._keys.closed(topic, value, self._producer)
        except (KafkaError, TimeoutError) as error:
            raise NotRecorded(type(error).__name__) from error
        line: dict[str, Any] = {"topic": topic, "value": value}
        if traceparent is not None and is_traceparent(traceparent.encode("ascii", "replace")):
            line["headers"] = {TRACEPARENT: traceparent}
        key, content, headers = message(line, source=SOURCE)
        place = partition_of(key.decode(), self._settings.partitions)
        if sealed:
            named = dict(headers)
            made = self._seals.seal(topic, place, key, content, named.get(CE_ID), named.get(ORIGIN))
            headers.append((SEAL, made))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._ack_s):
                sent = await self._producer.send_and_wait(
                    self._settings.prefix + topic, content, key=key, headers=headers, partition=place
                )
        except (KafkaError, TimeoutError) as error:
            raise NotRecorded(type(error).__name__) from error
        return Acknowledged(place, sent.offset, time.perf_counter() - began, time.time())

    def secret(self, purpose: bytes) -> bytes:
        """Return 32 bytes, the same in every gateway of a deployment; nobody without its seal key can make them."""
        # No record has this partition, so that no record has this seal.
        return hashlib.sha256(self._seals.seal("interactions", -1, purpose, None, None)).digest()

    async def lag(self) -> int:
        """Return the records of the followed topics that have not been read yet, as far as the latest fetches know.

        Raises KafkaError or TimeoutError where no broker answers. The producer asks: what the consumer asked would wait
        behind a fetch that is held.
        """
        async with asyncio.timeout(self._ack_s):
            await self._producer.client.fetch_all_metadata()
            behind = 0
            for place in self._places():
                if (end := self._consumer.last_stable_offset(place)) is not None:
                    behind += max(0, end - await self._consumer.position(place))
            return behind

    # ---- reading ----

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(name, number) for name in self._names for number in range(self._settings.partitions)]

    async def _to_the_end(self) -> None:
        await clients.assign_at_ends(self._consumer, self._places())

    async def _disconnect(self) -> None:
        for client in (self._consumer, self._producer, *([] if self._keys is None else [self._keys])):
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(client.stop(), _STOP_S)

    async def _read(self) -> None:
        async for fetched in fetches(self._consumer, "records", _log):
            for place, records in fetched.items():
                topic = self._names[place.topic]
                for raw in records:
                    if watches := self.watches.of(raw.key):
                        self._take(topic, raw, watches)

    def _take(self, topic: str, raw: Any, watches: list[Watch]) -> None:
        headers = dict(raw.headers)
        dead = holds_dead_letters(topic)
        cause = _cause(headers.get(CE_ID)) if topic in OUTCOMES else None
        if topic in OUTCOMES and not any(cause in watch.record_ids for watch in watches):
            return
        if dead and not any(headers.get(CE_ID) in watch.record_ids for watch in watches):
            return
        author = None if dead else AUTHORS[topic]
        if author is not None and not (headers.get(ORIGIN) or b"").startswith(author):
            return
        if not self._seals.valid(topic, raw, headers):
            self.dropped += 1
            _UNSEALED.warning(topic=topic, partition=raw.partition, offset=raw.offset)
            return
        if dead:
            for watch in watches:
                if (name := watch.record_ids.get(headers.get(CE_ID) or b"")) is not None:
                    kind, why = (headers.get(one) or b"unknown" for one in (ERROR_KIND, ERROR))
                    watch.refuse(Refused(name, kind.decode("utf-8", "replace"), why.decode("utf-8", "replace")))
            return
        value = orjson.loads(raw.value)  # what is sealed is JSON of ours
        if cause is not None:
            for watch in watches:
                watch.happened(cause, value, raw.timestamp / 1000, time.time())
            return
        for watch in watches:
            if watch.audit_id in (None, value["audit_id"]):
                watch.apply(topic, value, raw.timestamp / 1000, time.time())


def _cause(ce_id: bytes | None) -> bytes:
    """The id of the record that a derived one was caused by: the middle of `agent/id/ordinal`."""
    return (ce_id or b"").partition(b"/")[2].rpartition(b"/")[0]
