"""How a person ends an open conflict (memory, section 6)."""

from collections.abc import Mapping
from typing import Any, Literal

from endocrine.agents._shared.memories import value_digest
from endocrine.agents.conflicts.judge import MEMORY_ID, Cause, disputed_pairs, ended, event_of, is_open, judge
from endocrine.agents.conflicts.slot import Member, SlotState, StoredConflict, members_of, with_member, without_member
from endocrine.agents.contract import Output
from endocrine.agents.memory.rules import ConflictRules
from endocrine.schemas.commands import ConflictResolve
from endocrine.schemas.vocabulary import ConflictStatus

Refusal = Literal["unknown_conflict", "not_open", "winner_required", "unknown_winner", "state_wins"]


def resolve(
    state: SlotState, command: ConflictResolve, cause: Cause, rules: ConflictRules
) -> tuple[SlotState, list[Output]]:
    """Return the slot after a person's word on its conflict, and the orders, the record, the event and the marks.

    The same word again is nothing; a word without effect is an event `refused`.
    """
    conflict = state["conflict"]
    if conflict is not None and _said_before(conflict, command):
        return state, []
    refusal = _refusal(state, command)
    if refusal is not None or conflict is None:
        event = event_of("refused", cause, command.conflict_id, [], command.action, command.winner, refusal)
        return state, [event]
    orders: list[Output] = []
    status: ConflictStatus = "resolved"
    pairs = disputed_pairs(state)
    if command.action == "supersede_others" and command.winner is not None:
        state, orders = _supersede_others(state, conflict, command.winner, cause, rules)
    elif command.action == "no_action":
        values = sorted({digest for pair in pairs for digest in pair})
        kept = [digest for digest in state["accepted"] if digest not in values]
        state = {**state, "accepted": [*kept, *values][-rules.accepted :]}
    else:
        status = "dismissed"
        found = [list(pair) for pair in sorted(pairs)]
        state = {**state, "dismissed": [*state["dismissed"], *found][-rules.dismissed :]}
    after: StoredConflict = {
        **conflict,
        "status": status,
        "action": command.action,
        "winner": command.winner if command.action == "supersede_others" else None,
        "reason": command.reason,
    }
    state, outputs = ended(state, after, cause)
    # What is left may disagree as well: a member that was not in this conflict, with the value that won it.
    state, more = judge(state, cause)
    return state, [*orders, *outputs, *more]


def _said_before(conflict: StoredConflict, command: ConflictResolve) -> bool:
    winner = command.winner if command.action == "supersede_others" else None
    return (conflict["conflict_id"], conflict["action"], conflict["winner"]) == (
        command.conflict_id,
        command.action,
        winner,
    )


def _refusal(state: SlotState, command: ConflictResolve) -> Refusal | None:
    conflict = state["conflict"]
    if conflict is None or conflict["conflict_id"] != command.conflict_id:
        return "unknown_conflict"
    if not is_open(state):
        return "not_open"
    if command.action != "supersede_others":
        return None
    if command.winner is None:
        return "winner_required"
    if command.winner not in {one["id"] for one in conflict["members"]}:
        return "unknown_winner"
    members = members_of(state)
    winning = value_digest(members[command.winner].value)
    if any(
        one.layer == "state" and name != command.winner and value_digest(one.value) != winning
        for name, one in members.items()
    ):
        return "state_wins"
    return None


def _supersede_others(
    state: SlotState, conflict: StoredConflict, winner: str, cause: Cause, rules: ConflictRules
) -> tuple[SlotState, list[Output]]:
    """The winner becomes active, the other memories are out; trusted state is its operators' alone."""
    members: Mapping[str, Member] = members_of(state)
    others = [one["id"] for one in conflict["members"] if one["id"] != winner and one["id"].startswith(MEMORY_ID)]
    is_memory = winner.startswith(MEMORY_ID)
    orders = []
    if is_memory:
        first = next((name for name in others if members[name].status == "active"), None)
        orders.append(_order("activate", winner, {"supersedes": first}, conflict, cause))
        state = with_member(state, winner, members[winner]._replace(status="active", since=cause.ts), rules)
    for name in others:
        fields = {"superseded_by": winner if is_memory else None}
        orders.append(_order("retire", name, fields, conflict, cause))
        state = without_member(state, name)
    return state, orders


def _order(kind: str, memory_id: str, fields: dict[str, Any], conflict: StoredConflict, cause: Cause) -> Output:
    value = {
        "kind": kind,
        "subject": cause.subject,
        "memory_id": memory_id,
        **fields,
        "conflict_id": conflict["conflict_id"],
        "by": cause.by,
        "ts": cause.ts,
    }
    return Output("memory-orders", cause.subject, value)
