"""Answers and start marks of one partition's effects, read back from their topics."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson
from aiokafka import TopicPartition

from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

MARGIN_MS = 900_000
"""Milliseconds before the first unfinished request from which answers are read back: clocks of brokers that differ, and
copies of requests that a worker produced again at its takeover."""
REMEMBERED = 50_000
"""Ids of answered effects kept per partition, the youngest; about 5 MB."""


class Answering(Protocol):
    """The part of an effect that says where answers lie and what they answer."""

    name: str
    answers: str

    def answer_id(self, value: dict[str, Any]) -> str | None: ...


class EffectLedger:
    """Ids of one partition that are answered or being worked on, and its start marks."""

    def __init__(self, answered: Iterable[str], marks: "StartMarks") -> None:
        self._ids = dict.fromkeys(answered)
        self.marks = marks

    def claim(self, effect_id: str) -> bool:
        """Reserve an effect. True: it is new; False: it is answered or claimed already."""
        if effect_id in self._ids:
            return False
        self._ids[effect_id] = None
        while len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return True

    def release(self, effect_id: str) -> None:
        """Release an effect that gave no answer."""
        self._ids.pop(effect_id, None)


class StartMarks:
    """Start marks of others on one partition of `effect-starts`, and how far we have seen them."""

    def __init__(
        self, settings: Settings, connector: str, partition: int, end: int, others: Iterable[str], seals: Seals
    ) -> None:
        self._settings = settings
        self._seals = seals
        self._connector = connector
        self._place = TopicPartition(f"{settings.prefix}effect-starts", partition)
        self._end = end
        self.others: dict[str, None] = {}
        """Effects that another process marked before us, oldest first, at most `REMEMBERED`."""
        for effect_id in others:
            self._note(effect_id)

    def _note(self, effect_id: str) -> None:
        self.others[effect_id] = None
        while len(self.others) > REMEMBERED:
            del self.others[next(iter(self.others))]

    async def follow(self, offset: int, *, by: str) -> None:
        """Look at what lies between the last offset seen and that of our mark, usually nothing."""
        if offset > self._end:
            async with _reader(self._settings) as reader:
                async for found in clients.read_until(reader, {self._place: (self._end, offset)}):
                    for value in _sealed(found.get(self._place, ()), "effect-starts", self._seals):
                        if value.get("by") != by and (effect_id := _marked(value, self._connector)) is not None:
                            self._note(effect_id)
        self._end = max(self._end, offset + 1)


async def read_back(settings: Settings, effect: Answering, partition: int, since_ms: int, seals: Seals) -> EffectLedger:
    """Read the answers and start marks of a partition appended since `since_ms` (less a margin) until now.

    Sealed ones only: an answer that a stranger wrote must not keep a request from being run.
    """
    start_ms = max(0, since_ms - MARGIN_MS)
    answers = TopicPartition(settings.prefix + effect.answers, partition)
    starts = TopicPartition(f"{settings.prefix}effect-starts", partition)
    answered: list[Any] = []
    marked: list[str] = []
    async with _reader(settings) as reader:
        spans = await _windows(reader, (answers, starts), start_ms)
        async for found in clients.read_until(reader, spans):
            answered += map(effect.answer_id, _sealed(found.get(answers, ()), effect.answers, seals))
            for value in _sealed(found.get(starts, ()), "effect-starts", seals):
                if (effect_id := _marked(value, effect.name)) is not None:
                    marked.append(effect_id)
    marks = StartMarks(settings, effect.name, partition, spans[starts][1], marked, seals)
    return EffectLedger((one for one in answered if isinstance(one, str)), marks)


def _marked(value: dict[str, Any], connector: str) -> str | None:
    """The effect that a start mark of this connector names; None of any other object."""
    effect_id = value.get("effect_id")
    return effect_id if value.get("connector") == connector and isinstance(effect_id, str) else None


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[Any]:
    reader = clients.reader(settings)
    try:
        await reader.start()
        yield reader
    finally:
        await reader.stop()


async def _windows(
    reader: Any, places: Sequence[TopicPartition], start_ms: int
) -> dict[TopicPartition, tuple[int, int]]:
    """Of each partition, the first offset appended at or after a time, and the log's end."""
    clients.introduce(reader, places)
    ends = await reader.end_offsets(places)
    found = await reader.offsets_for_times(dict.fromkeys(places, start_ms))
    return {place: (ends[place] if (at := found[place]) is None else at.offset, ends[place]) for place in places}


def _sealed(records: Iterable[Any], topic: str, seals: Seals) -> Iterator[dict[str, Any]]:
    """Our own JSON objects among these; what others wrote is passed over. topic: without prefix."""
    for raw in records:
        if not seals.valid(topic, raw, dict(raw.headers)):
            continue
        try:
            value = orjson.loads(raw.value or b"null")
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
