"""State of the feedback agent for one identity: a JSON object of bounded size. All functions return new values.

Rows are JSON arrays; `Card` and `DivergingCard` name their fields. Notes, tags and hashes are not kept.
"""

import hashlib
from bisect import bisect_right
from typing import Any, NamedTuple, NotRequired, TypedDict

from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import Incident
from endocrine.schemas.vocabulary import Mode

Row = list[Any]
"""A JSON array with the fields of `Card` or `DivergingCard`."""


class Card(NamedTuple):
    """A feedback card that counts."""

    ts: float
    """Event time, seconds."""
    key: str
    """Short digest of the card's id (`card_key`)."""
    rating: int
    known: bool
    """Whether its turn was known when it arrived."""
    intents: dict[str, int]


class DivergingCard(NamedTuple):
    """A card that diverges from what safety did."""

    ts: float
    """Event time, seconds."""
    key: str
    clock: float | None = None
    """Latest event time of a card when it arrived, seconds; absent in rows of earlier versions."""


class Turn(TypedDict):
    """What is known of a turn."""

    revision: int
    """-1 where only an incident named the turn."""
    mode: Mode
    allowlist: list[str]
    incident: bool


class FeedbackState(TypedDict):
    """The state of one identity."""

    cards: list[Row]
    """`Card`s that count, by event time, equal times by arrival."""
    diverging: list[Row]
    """`DivergingCard`s, in the same order; emptied when the lock is released."""
    turns: dict[str, Turn]
    """Recent turns by audit_id, the one first seen first."""
    locked: bool
    releases: list[str]
    """Ids of recent `release_lock` commands, oldest first."""
    clock: NotRequired[float | None]
    """Latest event time of a card so far, seconds; absent in states of earlier versions."""


EMPTY: FeedbackState = {
    "cards": [],
    "diverging": [],
    "turns": {},
    "locked": False,
    "releases": [],
    "clock": None,
}


def card_key(card_id: str) -> str:
    """Return a short digest of a card's id."""
    return hashlib.blake2b(card_id.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def insert(rows: list[Row], row: Row, most: int) -> list[Row]:
    """Return the rows with one more, by event time (first field), after its equals; only the latest `most` are kept."""
    at = bisect_right(rows, row[0], key=lambda other: other[0])
    return [*rows[:at], row, *rows[at:]][-most:]


def with_modulation(turns: dict[str, Turn], modulation: Modulation, most: int) -> dict[str, Turn]:
    """Return the turns with a modulation; unchanged where its revision is not newer than the known one."""
    known = turns.get(modulation.audit_id)
    if known is not None and modulation.revision <= known["revision"]:
        return turns
    turn: Turn = {
        "revision": modulation.revision,
        "mode": modulation.mode,
        "allowlist": list(modulation.parameters.tool_allowlist),
        "incident": known is not None and known["incident"],
    }
    return _latest({**turns, modulation.audit_id: turn}, most)


def with_incident(turns: dict[str, Turn], incident: Incident, most: int) -> dict[str, Turn]:
    """Return the turns with one marked; a turn not known before is taken from the incident's snapshot."""
    audit_id, snapshot = incident.audit_id, incident.params_snapshot
    if audit_id is None or incident.kind == "drift_lock":
        return turns  # our own alarm is about the cards: were it an incident of the turn, it would feed itself
    known = turns.get(audit_id)
    turn: Turn = {
        "revision": -1 if known is None else known["revision"],
        "mode": snapshot.mode if known is None else known["mode"],
        "allowlist": list(snapshot.allowlist) if known is None else known["allowlist"],
        "incident": True,
    }
    return _latest({**turns, audit_id: turn}, most)


def _latest(turns: dict[str, Turn], most: int) -> dict[str, Turn]:
    return dict(list(turns.items())[-most:])
