"""What feedback remembers of one identity: a JSON object of bounded size. All functions return new values.

cards:     [[ts, card, rating, known, intents]]  those that count, by event time, equal times by arrival
diverging: [[ts, card, clock]]                   those that diverge, likewise; emptied when the lock is released
turns:     {audit_id: turn}                      recent turns, the one first heard of first
locked:    bool
clock:     latest event time of a card so far, or null; a diverging card has it as it was with that card
releases:  [command id]                          recent releases, oldest first

card: a short digest of the card's id. Notes, tags and hashes are not kept.
turn: {revision, mode, allowlist, incident}; revision -1 where only an incident told of the turn
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import Incident

Json = dict[str, Any]

EMPTY: Mapping[str, Any] = {"cards": [], "diverging": [], "turns": {}, "locked": False, "releases": [], "clock": None}


def card_key(card_id: str) -> str:
    """A short digest of a card's id."""
    return hashlib.blake2b(card_id.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def insert(rows: list[Any], row: list[Any], most: int) -> list[Any]:
    """The rows with one more, by event time (first field), after its equals; only the latest `most` are kept."""
    at = bisect_right(rows, row[0], key=lambda other: other[0])
    return [*rows[:at], row, *rows[at:]][-most:]


def heard_modulation(turns: Json, modulation: Modulation, most: int) -> Json:
    """The turns with what a modulation says; an older revision than the one known says nothing."""
    known = turns.get(modulation.audit_id)
    if known is not None and modulation.revision <= known["revision"]:
        return turns
    turn = {
        "revision": modulation.revision,
        "mode": modulation.mode,
        "allowlist": list(modulation.parameters.tool_allowlist),
        "incident": known is not None and known["incident"],
    }
    return _latest({**turns, modulation.audit_id: turn}, most)


def heard_incident(turns: Json, incident: Incident, most: int) -> Json:
    """The turns with one marked; a turn not heard of before is as the incident's snapshot says."""
    audit_id, snapshot = incident.audit_id, incident.params_snapshot
    if audit_id is None or incident.kind == "drift_lock":
        return turns  # our own alarm is about the cards: were it an incident of the turn, it would feed itself
    known = turns.get(audit_id) or {"revision": -1, "mode": snapshot.mode, "allowlist": list(snapshot.allowlist)}
    return _latest({**turns, audit_id: {**known, "incident": True}}, most)


def _latest(turns: Json, most: int) -> Json:
    return dict(list(turns.items())[-most:])
