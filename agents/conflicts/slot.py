"""State of the conflicts agent for one slot of a subject: who says what about it. Of bounded size."""

from typing import Any, Literal, NamedTuple, TypedDict

from endocrine.agents._shared.memories import value_digest
from endocrine.agents.memory.rules import ConflictRules
from endocrine.schemas.vocabulary import ConflictAction, ConflictLayer, ConflictStatus

LAYERS: tuple[ConflictLayer, ...] = ("state", "tool", "entity", "memory")
"""In the order of authority."""
Row = list[str | float]
"""A JSON array with the fields of `Member`."""


class Member(NamedTuple):
    """One value in force, or proposed, for the slot."""

    layer: ConflictLayer
    value: str
    status: Literal["active", "candidate"]
    since: float
    """Event time, seconds."""


class StoredConflict(TypedDict):
    """The latest conflict; the fields of `schemas.conflicts.Conflict` that do not follow from the slot."""

    conflict_id: str
    status: ConflictStatus
    members: list[dict[str, Any]]
    action: ConflictAction | None
    winner: str | None
    reason: str | None
    opened_ts: float


class SlotState(TypedDict):
    """The state of one slot."""

    members: dict[str, Row]
    """`Member` by id: of a memory, or `state:<category>/<key>`."""
    capped: bool
    """Whether there were more members than are kept."""
    conflict: StoredConflict | None
    dismissed: list[list[str]]
    """Pairs of digests of values that are not about the same thing, each sorted, the latest last."""
    accepted: list[str]
    """Digests of values that were left as they are, the latest last."""
    marked: dict[str, list[str | bool]]
    """Of each memory that was marked: the conflict's id, and whether another member is active."""
    facts: dict[str, list[str | float]]
    """Of each exporter: the digest of its last value, and when it was last imported."""


EMPTY: SlotState = {
    "members": {},
    "capped": False,
    "conflict": None,
    "dismissed": [],
    "accepted": [],
    "marked": {},
    "facts": {},
}


def member_of(row: Row) -> Member:
    """Return a member from its array."""
    return Member(*row)  # type: ignore[arg-type]


def members_of(state: SlotState) -> dict[str, Member]:
    """Return all members by id, in the order of authority: layer, then active ones, then the oldest, then by id."""
    found = {name: member_of(row) for name, row in state["members"].items()}
    return dict(sorted(found.items(), key=lambda item: _authority(*item)))


def _authority(name: str, member: Member) -> tuple[int, bool, float, str]:
    return LAYERS.index(member.layer), member.status != "active", member.since, name


def with_member(state: SlotState, name: str, member: Member, rules: ConflictRules) -> SlotState:
    """Return the state with a member, or another form of it; it keeps its layer, and its time where its value is the
    same and it was active before. Of more than the bound the one of least authority is left out."""
    known = state["members"].get(name)
    if known is not None:
        before = member_of(known)
        same = value_digest(before.value) == value_digest(member.value) and before.status == member.status
        member = member._replace(layer=before.layer, since=before.since if same else member.since)
    after: SlotState = {**state, "members": {**state["members"], name: list(member)}}
    if len(after["members"]) <= rules.members:
        return after
    least = list(members_of(after))[-1]
    return {**without_member(after, least), "capped": True}


def without_member(state: SlotState, name: str) -> SlotState:
    """Return the state without a member."""
    return {**state, "members": {other: row for other, row in state["members"].items() if other != name}}


def with_fact(state: SlotState, exporter: str, digest: str, ts: float, rules: ConflictRules) -> SlotState:
    """Return the state with an exporter's last value and import; of more exporters than the bound the oldest is out."""
    facts = {name: row for name, row in state["facts"].items() if name != exporter} | {exporter: [digest, ts]}
    return {**state, "facts": dict(list(facts.items())[-rules.exporters :])}


def shown(members: dict[str, Member]) -> list[dict[str, Any]]:
    """Return members as a record lists them."""
    return [
        {"layer": one.layer, "id": name, "value": one.value, "status": one.status, "since": one.since}
        for name, one in members.items()
    ]
