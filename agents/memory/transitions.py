"""The lifecycle of a memory (memory, section 5): which change takes it from which status to which.

candidate -> active or invalid; active -> superseded or invalid; these two are final. The same transition again is
nothing; any other is refused, with the name of the reason.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from endocrine.agents.memory.entry import MemoryState
from endocrine.schemas.vocabulary import MemoryStatus

Change = Literal["promote", "reject", "supersede", "invalidate"]
Refusal = Literal["wrong_status", "open_conflict"]


class Transition(NamedTuple):
    """One change of status."""

    source: MemoryStatus
    target: MemoryStatus
    kind: str
    """Of the event."""


TRANSITIONS: Mapping[Change, Transition] = {
    "promote": Transition("candidate", "active", "promoted"),
    "reject": Transition("candidate", "invalid", "rejected"),
    "supersede": Transition("active", "superseded", "superseded"),
    "invalidate": Transition("active", "invalid", "invalidated"),
}


def refusal_of(change: Change, state: MemoryState, *, resolving: bool) -> Refusal | Literal["same"] | None:
    """Return why a change has no effect; `same` where it was made before, None where it has an effect.

    resolving: the change ends a conflict, so that the conflict does not stand in its way.
    """
    entry, transition = state["entry"], TRANSITIONS[change]
    if entry["status"] == transition.target:
        return "same"
    if entry["status"] != transition.source:
        return "wrong_status"
    if change == "promote" and entry["open_conflict"] is not None and state["other_active"] and not resolving:
        return "open_conflict"
    return None


def fields_of(change: Change, *, superseded_by: str | None = None, supersedes: str | None = None) -> dict[str, Any]:
    """Return the fields of the entry that a change sets."""
    fields: dict[str, Any] = {"status": TRANSITIONS[change].target}
    if superseded_by is not None:
        fields["superseded_by"] = superseded_by
    if supersedes is not None:
        fields["supersedes"] = supersedes
    return fields
