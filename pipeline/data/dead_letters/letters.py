"""A dead letter as it is on its topic, and what was done with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.core.records import CE_ID, ERROR, ERROR_KIND, ORIGIN, SourceRecord, id_of
from endocrine.schemas.dead_letters import DeadLetterAction

ACTIONS = "dlq-actions"
TOPICS = tuple(topic.dead_letters for topic in CATALOGUE.values() if topic.owner)
Origin = tuple[str, int, int]
"""Topic, partition and offset of the record that was refused."""


@dataclass(slots=True)
class Letter:
    """One dead letter, without its bytes."""

    topic: str
    """With `.dlq`, without prefix."""
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since 1970, append time."""
    kind: str
    length: int | None
    """Bytes of the value; None: there was none."""
    identity: str | None
    """Of the value where it can be read, else the key where that is text."""
    id: str
    """The record's own id, else `topic/partition/offset` of its first copy."""
    origin: Origin | None
    copies: int = 0
    """The number of times it was produced again: a worker that fell over produces it twice."""
    actions: list[DeadLetterAction] = field(default_factory=list)

    @property
    def place(self) -> str:
        """`topic/partition/offset` in its topic of dead letters."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def status(self) -> str:
        """`open`, or what was done last."""
        if not self.actions:
            return "open"
        return "redriven" if self.actions[-1].action == "redrive" else "discarded"


def letter_of(topic: str, raw: SourceRecord) -> Letter:
    """Return what is known of a dead letter."""
    headers = dict(raw.headers)
    value = parsed(raw.value)
    origin = origin_of(headers)
    fits = CATALOGUE[source_of(topic)].identity_field
    identity = value.get(fits) if isinstance(value, dict) else None
    if not isinstance(identity, str):
        identity = None if raw.key is None else _text(raw.key)
    return Letter(
        topic,
        raw.partition,
        raw.offset,
        raw.timestamp,
        (headers.get(ERROR_KIND) or b"unknown").decode("utf-8", "replace"),
        None if raw.value is None else len(raw.value),
        identity,
        own_id(headers, value) or _first_id(topic, raw, origin),
        origin,
    )


def parsed(value: bytes | None) -> Any:
    """Return the value as JSON; None where it is not JSON."""
    try:
        return None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def own_id(headers: Mapping[str, bytes | None], value: Any) -> str | None:
    """Return the id that a record brings itself, as Read finds it: in the value, else in `ce_id`."""
    named = value.get("id") if isinstance(value, dict) else None
    return named if isinstance(named, str) and named else id_of(headers.get(CE_ID))


def origin_of(headers: Mapping[str, bytes | None]) -> Origin | None:
    """Return the record that was refused; None where no agent of ours refused it."""
    try:
        _, topic, partition, offset, _ = (headers.get(ORIGIN) or b"").decode().split("/")
        return topic, int(partition), int(offset)
    except ValueError:
        return None


def _first_id(topic: str, raw: SourceRecord, origin: Origin | None) -> str:
    place = origin or (topic, raw.partition, raw.offset)
    return "/".join(map(str, place))


def _text(key: bytes) -> str | None:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


class Shelf:
    """Dead letters by place, copies of one given once, each with what was done with it."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}
        self._by_origin: dict[tuple[str, Origin], Letter] = {}
        self._actions: list[DeadLetterAction] = []

    def add(self, topic: str, raw: SourceRecord) -> None:
        """Add a record of a topic of dead letters, or of `dlq-actions`."""
        if topic == ACTIONS:
            try:
                self._actions.append(DeadLetterAction.model_validate_json(raw.value or b""))
            except ValidationError:
                return  # not ours: the topic takes what it is given
            return
        letter = letter_of(topic, raw)
        if letter.origin is not None:
            first = self._by_origin.setdefault((topic, letter.origin), letter)
            if first is not letter:
                first.copies += 1
                return
        self.letters[letter.place] = letter

    def settled(self) -> list[Letter]:
        """Return all of them, newest first, each with its actions in the order of their times."""
        for action in sorted(self._actions, key=lambda action: action.ts):
            letter = self.letters.get(f"{action.topic}/{action.partition}/{action.offset}")
            if letter is None and (place := _place(action.origin)) is not None:
                letter = self._by_origin.get((action.topic, place))
            if letter is not None:
                letter.actions.append(action)
        self._actions.clear()
        return sorted(self.letters.values(), key=lambda letter: letter.timestamp, reverse=True)


def _place(text: str | None) -> Origin | None:
    """Topic, partition and offset of a text; None where it names none: anybody may write on the topic of actions."""
    topic, *numbers = (text or "").rsplit("/", 2)
    if len(numbers) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers):
        return None
    return topic, int(numbers[0]), int(numbers[1])


def error_of(headers: Mapping[str, bytes | None]) -> str:
    """Return the reason for the refusal, as a sentence."""
    return (headers.get(ERROR) or b"no reason given").decode("utf-8", "replace")
