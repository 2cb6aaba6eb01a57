"""The answer to a retry: a derived record of the first try, found on its topic by the id of its trigger.

A worker that knows a record's id derives nothing anew from the retry. So whoever retries reads back what was derived,
and what was asked, from the partition of the identity.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from aiokafka import TopicPartition

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, ORIGIN
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.gateway.awaiting import AUTHORS
from endocrine.pipeline.gateway.watch import Watch
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

WINDOW_S = 900.0
"""How far back an answer is looked for, by append time."""
_AT_ONCE = 4
"""Searches at once; others wait for their turn, within their deadlines."""
_SILENCE_S = 5.0


class Lookback:
    """Searches; one consumer each, closed when it ends."""

    def __init__(self, settings: Settings, seals: Seals) -> None:
        self._settings = settings
        self._seals = seals
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def into(self, watch: Watch, topic: str, since: float) -> None:
        """Put proved records of the watch's turn that this topic holds since then into the watch.

        since: seconds since 1970, append time. Raises TimeoutError, KafkaError.
        """
        needle, author = orjson.dumps(watch.audit_id), AUTHORS[topic] or b""
        async with aclosing(self._records(topic, watch.identity, since)) as found:
            async for raw in found:
                if raw.value is not None and needle in raw.value:
                    self._apply(watch, topic, raw, author)

    async def record(self, topic: str, identity: str, record_id: str, since: float) -> Any:
        """Return the value of the first record of this id that its topic holds since then; None where there is none."""
        async with aclosing(self._records(topic, identity, since)) as found:
            async for raw in found:
                if raw.value is not None and dict(raw.headers).get(CE_ID) == record_id.encode():
                    return orjson.loads(raw.value)
        return None

    async def _records(self, topic: str, identity: str, since: float) -> AsyncGenerator[Any, None]:
        """What the topic holds under this identity from a time up to now."""
        place = TopicPartition(self._settings.prefix + topic, partition_of(identity, self._settings.partitions))
        key = identity.encode()
        async with self._room:
            consumer = clients.reader(self._settings)
            try:
                await consumer.start()
                clients.introduce(consumer, [place])
                end = (await consumer.end_offsets([place]))[place]
                found = (await consumer.offsets_for_times({place: int(since * 1000)}))[place]
                if found is None:
                    return
                span = {place: (found.offset, end)}
                async with aclosing(clients.read_until(consumer, span, silence_s=_SILENCE_S)) as pieces:
                    async for piece in pieces:
                        for raw in piece.get(place, ()):
                            if raw.key == key:
                                yield raw
            finally:
                await consumer.stop()

    def _apply(self, watch: Watch, topic: str, raw: Any, author: bytes) -> None:
        headers = dict(raw.headers)
        if not (headers.get(ORIGIN) or b"").startswith(author) or not self._seals.valid(topic, raw, headers):
            return
        value = orjson.loads(raw.value)
        if value["audit_id"] == watch.audit_id:
            watch.apply(topic, value, raw.timestamp / 1000, raw.timestamp / 1000)
