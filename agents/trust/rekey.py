"""What two entries of trusted state of one category and key are together (memory, section 2)."""

from collections.abc import Iterable
from typing import cast

from endocrine.agents._shared.moving import Conflict, Move
from endocrine.agents.contract import Erased, Output, State
from endocrine.agents.trust.agent import Entry
from endocrine.schemas.trusted_state import TrustedState


def merge(old: State, state: State, move: Move) -> tuple[Entry, list[Output]]:
    """Return the entry that stays, and its record where it is another than before.

    Two active ones with one value: the adopting subject's. An active one replaces one that ended; of two that ended the
    later stays, the adopting subject's where both are of one time. Raises Conflict (value).
    """
    moved = cast(Entry, TrustedState.model_validate({**old, "subject": move.subject}).model_dump())
    known = cast(Entry | None, state)
    if known is None:
        return moved, [Output("trusted-states", move.subject, moved)]
    if not replaces(moved, known):
        return known, []
    version = max(moved["version"], known["version"] + 1)
    after: Entry = {**moved, "entry_id": known["entry_id"], "version": version}
    return after, [Output("trusted-states", move.subject, after)]


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the entry."""
    return [Output("trusted-states", subject, Erased(category=state["category"], key=state["key"]))]


def replaces(old: Entry, new: Entry) -> bool:
    """Return whether a moved entry takes the place of the adopting subject's. Raises Conflict (value)."""
    active = old["status"] == "active", new["status"] == "active"
    if all(active) and old["value"] != new["value"]:
        raise Conflict("value")
    return active == (True, False) or (not any(active) and old["ts"] > new["ts"])
