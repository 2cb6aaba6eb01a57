"""Dead letters on a broker: looking through them, and carrying out what was decided."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.data.dead_letters.act import action_of, again, carry_out
from endocrine.pipeline.data.dead_letters.letters import ACTIONS, TOPICS, Letter, Shelf, letter_of
from endocrine.pipeline.data.dead_letters.select import Filter
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.dead_letters import DeadLetterAction

Progress = Callable[[int, int], None]


class NoLetter(LookupError):
    """There is no such dead letter. The message says so."""


async def look(
    settings: Settings,
    meant: Filter,
    *,
    since: float | None = None,
    until: float | None = None,
    progress: Progress | None = None,
) -> list[Letter]:
    """Return the dead letters that are meant, newest first. since, until: seconds since 1970, append time."""
    shelf = Shelf()
    topics = TOPICS if meant.topic is None else (meant.topic,)
    async with aclosing(
        batches(settings, topics, since=since, until=until, progress=progress, as_stored=True)
    ) as found:
        async for topic, _, records in found:
            for raw in records:
                shelf.add(topic, raw)
    await _actions(settings, shelf)
    return [letter for letter in shelf.settled() if meant.takes(letter)]


async def one(settings: Settings, topic: str, partition: int, offset: int) -> tuple[Letter, Any]:
    """Return one dead letter and its record. Raises NoLetter."""
    starts = {(topic, partition): offset}
    async with aclosing(batches(settings, [topic], partition=partition, starts=starts, as_stored=True)) as found:
        async for _, _, records in found:
            if records[0].offset == offset:
                letter, raw = letter_of(topic, records[0]), records[0]
                break
            raise NoLetter(f"{topic}/{partition}/{offset} is gone: the oldest that is kept is {records[0].offset}")
        else:
            raise NoLetter(f"{topic}/{partition} holds no offset {offset}; `endocrine dlq list` shows those there are")
    shelf = Shelf()
    shelf.add(topic, raw)
    await _actions(settings, shelf)
    (letter,) = shelf.settled()
    return letter, raw


async def redrive(settings: Settings, letters: Sequence[Letter], by: str, reason: str | None, at: float) -> int:
    """Send them again, each partition in its order, and put it on record. Return their number."""
    return await carry_out(settings, _again(settings, letters, by, reason, at))


async def discard(settings: Settings, letters: Sequence[Letter], by: str, reason: str | None, at: float) -> int:
    """Put on record that they are done with. Return their number."""
    return await carry_out(settings, _aside(letters, by, reason, at))


async def _again(
    settings: Settings, letters: Sequence[Letter], by: str, reason: str | None, at: float
) -> AsyncIterator[tuple[OutputRecord | None, DeadLetterAction]]:
    seals = load_seals(settings)
    wanted = {(letter.topic, letter.partition, letter.offset): letter for letter in letters}
    # Read a second time: while choosing, no values are held.
    async with aclosing(batches(settings, _topics(letters), starts=_starts(wanted), as_stored=True)) as found:
        async for topic, partition, records in found:
            for raw in records:
                letter = wanted.get((topic, partition, raw.offset))
                if letter is not None:
                    yield again(letter, raw, by, at, seals), action_of(letter, "redrive", by, reason, at)


async def _aside(
    letters: Iterable[Letter], by: str, reason: str | None, at: float
) -> AsyncIterator[tuple[OutputRecord | None, DeadLetterAction]]:
    for letter in letters:
        yield None, action_of(letter, "discard", by, reason, at)


async def _actions(settings: Settings, shelf: Shelf) -> None:
    async with aclosing(batches(settings, [ACTIONS], as_stored=True)) as found:
        async for topic, _, records in found:
            for raw in records:
                shelf.add(topic, raw)


def _topics(letters: Iterable[Letter]) -> list[str]:
    return sorted({letter.topic for letter in letters})


def _starts(wanted: Mapping[tuple[str, int, int], Letter]) -> dict[tuple[str, int], int]:
    starts: dict[tuple[str, int], int] = {}
    for topic, partition, offset in wanted:
        starts[topic, partition] = min(offset, starts.get((topic, partition), offset))
    return starts
