"""The compacted topic `registry`, read whole and followed: the names of a door.

All its records lie on one partition, that of `$registry`. With a seal key only records of ours count; without one (a
command that only reads) whoever may write the topic is believed.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic, Place, batches
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.names import REGISTRY

TOPIC = "registry"
_HELD_MS = 5000
"""Milliseconds that the broker may hold a fetch that finds nothing; a record ends it at once."""
_PAUSE_S = 1.0
_STOP_S = 5.0
_log = structlog.get_logger("endocrine.names")


async def read_names(settings: Settings, seals: Seals | None) -> NameTable:
    """The names registered by now; none where the topic does not exist yet. Raises KafkaError, TimeoutError."""
    table = NameTable()
    with suppress(NoSuchTopic):
        await _read(settings, seals, table)
    return table


async def _read(settings: Settings, seals: Seals | None, table: NameTable) -> int:
    """Apply what stands on the topic; return the offset that its next record gets. Raises NoSuchTopic too."""
    place, ends = _place(settings), dict[Place, int]()

    def end(found: Mapping[Place, int]) -> None:
        ends.update(found)

    async for _, _, records in batches(settings, [TOPIC], partition=place.partition, on_ends=end):
        for raw in records:
            _apply(table, raw, seals)
    return ends[TOPIC, place.partition]


def _place(settings: Settings) -> TopicPartition:
    return TopicPartition(settings.prefix + TOPIC, partition_of(REGISTRY, settings.partitions))


def _apply(table: NameTable, raw: Any, seals: Seals | None) -> None:
    # A tombstone carries no seal of ours: an erasure makes it, and the topic's own rights are what protects it.
    if seals is None or raw.value is None or seals.valid(TOPIC, raw, dict(raw.headers)):
        table.apply(raw.key, raw.value)
    else:
        _log.warning("unsealed", topic=TOPIC, partition=raw.partition, offset=raw.offset)


class NameFollower:
    """`async with NameFollower(settings, seals, table)`: `table` is whole on entry, and follows the topic from then on.

    Raises KafkaError on entry where no broker answers; later, what it has stays in force until one answers again.
    """

    def __init__(self, settings: Settings, seals: Seals, table: NameTable) -> None:
        self._settings, self._seals, self._table = settings, seals, table
        self._consumer = clients.consumer(settings, group_id=None, fetch_max_wait_ms=_HELD_MS)
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        next_offset = await _read(self._settings, self._seals, self._table)
        place = _place(self._settings)
        await self._consumer.start()
        self._consumer.assign([place])
        self._consumer.seek(place, next_offset)
        self._reading = asyncio.create_task(self._follow(), name="names")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            await cancelled([self._reading])
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), _STOP_S)

    async def _follow(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=_HELD_MS)
            except KafkaError as error:
                _log.warning("the broker gives no names; trying again", error=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)
                continue
            for records in fetched.values():
                for raw in records:
                    _apply(self._table, raw, self._seals)
