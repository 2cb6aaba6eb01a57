"""Sending commands, and waiting for what they cause: an event of the agent that judges them, or a dead letter."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND
from endocrine.pipeline.data.ingest.produce import produce
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.process.settings import Settings

Json = dict[str, Any]
SOURCE = "endocrine/operator"
"""CloudEvents source of commands that people send from the console."""
_REFUSED = "commands.dlq"


class Caused(NamedTuple):
    """What a command caused."""

    command: str
    """Its id."""
    event: Json | None
    """The event; None where the command is a dead letter."""
    refused: str | None = None
    """Kind of the dead letter."""
    message: str | None = None
    """Why it is one, without content."""


class NotConfirmed(Exception):
    """A command was sent, and what it caused was not seen in time. The message says what to look at."""


class Refused(Exception):
    """A command is a dead letter. The message names the kind and what was expected, without content."""


class Outcomes:
    """Follows the events of one agent, and the dead letters of commands. An async context manager.

    topic: of the events. partitions: those to follow. from_start: with what lies on the topic already. Where the seal
    keys are known an event counts only with a valid seal. Raises aiokafka's KafkaError where no broker answers.
    """

    def __init__(self, settings: Settings, topic: str, partitions: Iterable[int], *, from_start: bool = False) -> None:
        self._topic, self._from_start, self._seals = topic, from_start, known_seals(settings)
        self._names = {settings.prefix + name: name for name in (topic, _REFUSED)}
        self._places = [TopicPartition(name, number) for name in self._names for number in partitions]
        self._consumer = clients.consumer(settings, group_id=None)

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await clients.assign_at_ends(self._consumer, self._places)
            if self._from_start:
                for place in self._places:
                    if self._names[place.topic] == self._topic:
                        self._consumer.seek(place, 0)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(KafkaError):
            await self._consumer.stop()

    async def standing(self) -> AsyncIterator[Caused]:
        """Yield what lies on the topics at the call and was not read yet."""
        ends = await self._consumer.end_offsets(self._places)
        while any([await self._consumer.position(place) < end for place, end in ends.items()]):
            for caused in await self.next(1.0):
                yield caused

    async def next(self, within_s: float) -> list[Caused]:
        """Return what comes next; empty where nothing comes within so many seconds."""
        fetched = await self._consumer.getmany(timeout_ms=max(0, int(within_s * 1000)))
        return [
            caused
            for place, records in fetched.items()
            for raw in records
            if (caused := self._caused(self._names[place.topic], raw)) is not None
        ]

    def _caused(self, topic: str, raw: Any) -> Caused | None:
        headers: Mapping[str, bytes | None] = dict(raw.headers)
        named = (headers.get(CE_ID) or b"").decode("utf-8", "replace")
        if topic == _REFUSED:
            kind, why = ((headers.get(name) or b"unknown").decode("utf-8", "replace") for name in (ERROR_KIND, ERROR))
            return Caused(named, None, kind, why)
        if raw.value is None or (self._seals is not None and not self._seals.valid(topic, raw, headers)):
            return None
        return Caused(named.partition("/")[2].rpartition("/")[0], orjson.loads(raw.value))


async def send(settings: Settings, value: Json, events: str, within_s: float, topic: str = "commands") -> Json:
    """Send a command and return the event that it causes on the topic `events`.

    value: the command, with an `id`. topic: where it is sent. Raises NotConfirmed where nothing comes within so many
    seconds, Refused, ProduceError and KafkaError.
    """
    whose = value[CATALOGUE[topic].identity_field]
    async with Outcomes(settings, events, [partition_of(whose, settings.partitions)]) as outcomes:
        await produce([{"topic": topic, "value": value, "headers": {"ce_source": SOURCE}}], settings)
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            for caused in await outcomes.next(left):
                if caused.command == value["id"]:
                    if caused.event is None:
                        raise Refused(f"refused ({caused.refused}): {caused.message}")
                    return caused.event
    raise NotConfirmed(f"sent, not confirmed: no event of {value['id']} within {within_s:g} s; does a worker run?")
