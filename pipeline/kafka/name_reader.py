"""The compacted topic `registry`, read whole and followed: the names of a door; and what becomes of its commands.

All its records lie on one partition, that of `$registry`. With a seal key only records of ours count; without one (a
command that only reads) whoever may write the topic is believed.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

import orjson
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.following import HELD_MS, fetches
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, PartitionKey, batches
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.names import REGISTRY

TOPIC, EVENTS = "registry", "registry-events"
Event = dict[str, Any]
"""A record of topic `registry-events`."""
_STOP_S = 5.0
_log = structlog.get_logger("endocrine.names")


async def read_names(settings: Settings, seals: Seals | None) -> NameTable:
    """Return the names registered by now; none where the topic does not exist yet. Raises KafkaError, TimeoutError."""
    table = NameTable()
    with suppress(NoSuchTopic):
        await _read(settings, seals, table)
    return table


async def _read(settings: Settings, seals: Seals | None, table: NameTable) -> int:
    """Apply what is on the topic; return the offset that its next record gets. Raises NoSuchTopic too."""
    place, ends = _place(settings), dict[PartitionKey, int]()

    def end(found: Mapping[PartitionKey, int]) -> None:
        ends.update(found)

    async for _, _, records in batches(settings, [TOPIC], partition=place.partition, on_ends=end):
        for raw in records:
            _apply(table, raw, seals)
    return ends[TOPIC, place.partition]


def _place(settings: Settings, topic: str = TOPIC) -> TopicPartition:
    return TopicPartition(settings.prefix + topic, partition_of(REGISTRY, settings.partitions))


def _apply(table: NameTable, raw: Any, seals: Seals | None) -> None:
    # A tombstone carries no seal of ours: an erasure makes it, and the topic's own rights are what protects it.
    if raw.value is None or _is_ours(TOPIC, raw, seals):
        table.apply(raw.key, raw.value)


def _is_ours(topic: str, raw: Any, seals: Seals | None) -> bool:
    if seals is None or seals.valid(topic, raw, dict(raw.headers)):
        return True
    _log.warning("unsealed", topic=topic, partition=raw.partition, offset=raw.offset)
    return False


class NameFollower:
    """`async with NameFollower(settings, seals, table)`: `table` is whole on entry, and follows the topic from then on.

        with follower.outcome(command_id) as outcome:
            ...  # send the command
            event = await asyncio.wait_for(outcome, 5)

    Raises KafkaError on entry where no broker answers; later, what it has stays in force until one answers again.
    """

    def __init__(self, settings: Settings, seals: Seals | None, table: NameTable) -> None:
        self._settings, self._seals, self._table = settings, seals, table
        self._consumer = clients.consumer(settings, group_id=None, fetch_max_wait_ms=HELD_MS)
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Event]] = {}
        self._seen: dict[str, Event] = {}
        """Events that are waited for and whose change the table does not show yet: two topics have no order."""

    async def __aenter__(self) -> Self:
        next_offset = await _read(self._settings, self._seals, self._table)
        names, events = _place(self._settings), _place(self._settings, EVENTS)
        await self._consumer.start()
        clients.introduce(self._consumer, [names, events])
        clients.assign_at(self._consumer, {names: next_offset, **await self._consumer.end_offsets([events])})
        self._reading = asyncio.create_task(self._follow(), name="names")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            await cancelled([self._reading])
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), _STOP_S)

    async def _follow(self) -> None:
        async for fetched in fetches(self._consumer, "names", _log):
            for place, records in fetched.items():
                for raw in records:
                    if place.topic.endswith(EVENTS):
                        self._event(raw)
                    else:
                        _apply(self._table, raw, self._seals)
            for command_id, event in list(self._seen.items()):
                if self._table.shows(event):
                    del self._seen[command_id]
                    if not self._waiting[command_id].done():
                        self._waiting[command_id].set_result(event)

    @contextmanager
    def outcome(self, command_id: str) -> Iterator["asyncio.Future[Event]"]:
        """Yield what becomes of a command that is sent inside: its event, once `table` shows what it changed."""
        self._waiting[command_id] = asyncio.get_running_loop().create_future()
        try:
            yield self._waiting[command_id]
        finally:
            self._waiting.pop(command_id).cancel()
            self._seen.pop(command_id, None)

    def _event(self, raw: Any) -> None:
        if self._waiting and raw.value is not None and _is_ours(EVENTS, raw, self._seals):
            with suppress(orjson.JSONDecodeError, TypeError, KeyError):
                event = orjson.loads(raw.value)
                if not self._waiting[event["command_id"]].done():
                    self._seen[event["command_id"]] = event
