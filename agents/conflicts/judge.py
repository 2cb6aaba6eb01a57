"""Whether the values of a slot disagree, and what that makes of its conflict (memory, section 6).

Two values disagree where at least one member that is active has one and another member has the other, unless a person
dismissed that pair. Nothing here blocks a write, and nothing merges values.
"""

from itertools import combinations
from typing import Any, NamedTuple

from endocrine.agents._shared.memories import named_after, value_digest
from endocrine.agents.conflicts.slot import Member, SlotState, StoredConflict, members_of, shown
from endocrine.agents.contract import Output

MEMORY_ID = "m-"
"""Begins the ids of members that are memories."""


class Cause(NamedTuple):
    """What made the slot be judged."""

    subject: str
    slot: str
    trigger_id: str
    by: str
    ts: float
    """Event time, seconds."""


def disputed_pairs(state: SlotState) -> set[tuple[str, str]]:
    """Return the pairs of digests of values that disagree, each sorted."""
    active: dict[str, bool] = {}
    for member in members_of(state).values():
        digest = value_digest(member.value)
        active[digest] = active.get(digest, False) or member.status == "active"
    dismissed = {(first, second) for first, second in state["dismissed"]}
    pairs = combinations(sorted(active), 2)
    return {pair for pair in pairs if (active[pair[0]] or active[pair[1]]) and pair not in dismissed}


def disputing(state: SlotState) -> dict[str, Member]:
    """Return the members whose values disagree with another's, in the order of authority."""
    disputed = {digest for pair in disputed_pairs(state) for digest in pair}
    return {name: one for name, one in members_of(state).items() if value_digest(one.value) in disputed}


def is_open(state: SlotState) -> bool:
    """Return whether the slot has an open conflict."""
    return state["conflict"] is not None and state["conflict"]["status"] == "open"


def judge(state: SlotState, cause: Cause) -> tuple[SlotState, list[Output]]:
    """Open a conflict, follow it, or end it where nothing is left of it; then mark the memories in it."""
    members = disputing(state)
    before, outputs = state["conflict"] if is_open(state) else None, list[Output]()
    if before is not None and not members:
        after: StoredConflict = {**before, "status": "resolved", "action": "vanished", "members": []}
        state, outputs = _set(state, after, cause, "resolved")
    elif before is not None and shown(members) != before["members"]:
        state, outputs = _set(state, {**before, "members": shown(members)}, cause, "changed")
    elif before is None and not _accepted(state, members):
        new: StoredConflict = {
            "conflict_id": named_after("c", cause.subject, cause.slot, cause.trigger_id),
            "status": "open",
            "members": shown(members),
            "action": None,
            "winner": None,
            "reason": None,
            "opened_ts": cause.ts,
        }
        state, outputs = _set(state, new, cause, "opened")
    state, marks = _marked(state, cause)
    return state, [*outputs, *marks]


def ended(state: SlotState, after: StoredConflict, cause: Cause) -> tuple[SlotState, list[Output]]:
    """Return the state with its conflict ended by a person, and what is produced of that."""
    return _set(state, after, cause, "dismissed" if after["status"] == "dismissed" else "resolved")


def _accepted(state: SlotState, members: dict[str, Member]) -> bool:
    """Whether there is nothing to raise: no dispute, or one over values that were all left as they are before."""
    return {value_digest(one.value) for one in members.values()} <= set(state["accepted"])


def _set(state: SlotState, conflict: StoredConflict, cause: Cause, kind: str) -> tuple[SlotState, list[Output]]:
    event = event_of(
        kind,
        cause,
        conflict["conflict_id"],
        conflict["members"],
        conflict["action"],
        conflict["winner"],
        conflict["reason"],
    )
    return {**state, "conflict": conflict}, [event, record_of(state, conflict, cause)]


def record_of(state: SlotState, conflict: StoredConflict, cause: Cause) -> Output:
    """Return the `conflicts` record of a slot."""
    members = conflict["members"]
    record: dict[str, Any] = {
        "conflict_id": conflict["conflict_id"],
        "subject": cause.subject,
        "slot": cause.slot,
        "status": conflict["status"],
        "members": members,
        "preferred": members[0]["id"] if members else None,
        "action": conflict["action"],
        "winner": conflict["winner"],
        "reason": conflict["reason"],
        **({"capped": True} if state["capped"] else {}),
        "opened_ts": conflict["opened_ts"],
        "by": cause.by,
        "ts": cause.ts,
    }
    return Output("conflicts", cause.subject, record)


def event_of(
    kind: str,
    cause: Cause,
    conflict_id: str,
    members: list[dict[str, Any]],
    action: str | None,
    winner: str | None,
    reason: str | None,
) -> Output:
    """Return the `conflict-events` record of what happened."""
    value = {
        "kind": kind,
        "subject": cause.subject,
        "slot": cause.slot,
        "conflict_id": conflict_id,
        "members": members,
        "action": action,
        "winner": winner,
        "reason": reason,
        "by": cause.by,
        "ts": cause.ts,
    }
    return Output("conflict-events", cause.subject, value)


def _marked(state: SlotState, cause: Cause) -> tuple[SlotState, list[Output]]:
    """Tell the memories that entered or left an open conflict, or whose neighbours in it changed."""
    wanted: dict[str, list[str | bool]] = {}
    conflict = state["conflict"]
    if conflict is not None and is_open(state):
        active = [one["id"] for one in conflict["members"] if one["status"] == "active"]
        for one in conflict["members"]:
            if one["id"].startswith(MEMORY_ID):
                wanted[one["id"]] = [conflict["conflict_id"], bool(set(active) - {one["id"]})]
    if wanted == state["marked"]:
        return state, []
    changed = [name for name in sorted({*wanted, *state["marked"]}) if wanted.get(name) != state["marked"].get(name)]
    outputs = []
    for name in changed:
        conflict_id, other_active = wanted.get(name, [None, False])
        value = {
            "subject": cause.subject,
            "memory_id": name,
            "conflict_id": conflict_id,
            "other_active": other_active,
            "by": cause.by,
            "ts": cause.ts,
        }
        outputs.append(Output("conflict-marks", cause.subject, value))
    return {**state, "marked": wanted}, outputs
