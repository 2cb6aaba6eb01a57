"""What the members of one slot of two subjects are together (memory, section 2)."""

from collections.abc import Collection, Iterable
from typing import cast

from endocrine.agents._shared.moving import Move
from endocrine.agents.conflicts.judge import Cause, judge, record_of
from endocrine.agents.conflicts.slot import (
    EMPTY,
    SlotState,
    StoredConflict,
    member_of,
    with_fact,
    with_member,
    without_member,
)
from endocrine.agents.contract import Erased, Output, State


def merge(old: State, state: State, move: Move) -> tuple[SlotState, list[Output]]:
    """Return the slot with the members of both, judged anew. An open conflict of either goes on; where both have one,
    that of the adopting subject does, with the members of both."""
    moved = cast(SlotState, {**EMPTY, **old})
    known = cast(SlotState, EMPTY if state is None else state)
    rules = move.policy.document.memory.conflicts
    command = move.trigger.value
    slot = command.key.rpartition("/")[2]
    after: SlotState = {**known, "capped": bool(known["capped"] or moved["capped"])}
    for name, row in moved["members"].items():
        if name not in after["members"]:
            after = with_member(after, name, member_of(row), rules)
    for exporter, (digest, ts) in moved["facts"].items():
        if exporter not in known["facts"] or float(known["facts"][exporter][1]) < float(ts):
            after = with_fact(after, exporter, str(digest), float(ts), rules)
    after = {
        **after,
        "conflict": _of_both(moved["conflict"], known["conflict"]),
        "dismissed": [*(pair for pair in moved["dismissed"] if pair not in known["dismissed"]), *known["dismissed"]][
            -rules.dismissed :
        ],
        "accepted": [*(one for one in moved["accepted"] if one not in known["accepted"]), *known["accepted"]][
            -rules.accepted :
        ],
        "marked": {**moved["marked"], **known["marked"]},
    }
    cause = Cause(move.subject, slot, move.trigger.id, command.by, command.ts)
    after, outputs = judge(after, cause)
    conflict = after["conflict"]
    if conflict is not None and not any(output.topic == "conflicts" for output in outputs):
        outputs = [record_of(after, conflict, cause), *outputs]
    return after, outputs


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the slot's conflict."""
    return [] if state["conflict"] is None else [Output("conflicts", subject, Erased(slot=part))]


def without(state: SlotState, memory_ids: Collection[str]) -> SlotState:
    """Return the slot without some memories: those that are moved as superseded."""
    for name in memory_ids:
        if name in state["members"]:
            state = without_member(state, name)
    return {**state, "marked": {name: mark for name, mark in state["marked"].items() if name not in memory_ids}}


def _of_both(old: StoredConflict | None, new: StoredConflict | None) -> StoredConflict | None:
    if old is None or new is None:
        return new or old
    if (old["status"] == "open") != (new["status"] == "open"):
        return old if old["status"] == "open" else new
    return old if new["status"] != "open" and old["opened_ts"] > new["opened_ts"] else new
