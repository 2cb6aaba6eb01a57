"""State of the bond ledger for one identity: a JSON object of bounded size."""

from typing import NotRequired, TypedDict

from endocrine.agents.bonds.entry import Entry, new_entry


class Adopting(TypedDict):
    """An import of which some parts are still to come."""

    entry: str
    """Digest of the entry that all its parts name."""
    parts: int
    next: int
    """Number of the part that comes next."""


class BondState(TypedDict):
    """The state of one identity."""

    entry: Entry
    commands: list[str]
    """Ids of recent commands, oldest first."""
    clock: NotRequired[float | None]
    """Latest event time of a message, seconds; absent before the first one."""
    held: NotRequired[list[str]]
    """audit_ids of turns that wait for a person, oldest first."""
    adopting: NotRequired[Adopting]


def new_state(user_id: str, ts: float) -> BondState:
    """Return the state of an identity without any, created at event time `ts`."""
    return {"entry": new_entry(user_id, ts), "commands": []}
