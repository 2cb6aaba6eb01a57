"""The memory agent, the only writer of memories (memory, section 5): one state per memory.

- Memories are created by operators (`memory_create`), by `candidates`, and by orders of the conflicts agent.
- Their status changes by commands and by orders that end a conflict, and by nothing else: nothing promotes itself.
- A reinforcement adds to an active memory's confidence, once per turn; it changes no status, and there is no decay.
- An opinion changes the strength of a memory, and no status (`consensus.py`).
- A memory of an older store is taken over with its version; a lower version never overwrites (`imported.py`).
- A command that has no effect is an event `refused` with the reason. The same command again is nothing.
- Outputs: the event, then the memory.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.memories import memory_id
from endocrine.agents._shared.subjects import finer
from endocrine.agents.contract import Output, State, Trigger
from endocrine.agents.memory import consensus
from endocrine.agents.memory import entry as entries
from endocrine.agents.memory.entry import Entry, MemoryState
from endocrine.agents.memory.imported import take_over
from endocrine.agents.memory.transitions import TRANSITIONS, Change, fields_of, refusal_of
from endocrine.schemas.commands import (
    MemoryCreate,
    MemoryImport,
    MemoryInvalidate,
    MemoryPromote,
    MemoryReject,
    MemorySupersede,
    MemoryUpdate,
    OfMemory,
)
from endocrine.schemas.memory import (
    ActivateOrder,
    Candidate,
    ConflictMark,
    CreateOrder,
    MemoryOpinion,
    Reinforcement,
    RetireOrder,
    Source,
)

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_CHANGES: dict[type[OfMemory], Change] = {
    MemoryPromote: "promote",
    MemoryReject: "reject",
    MemorySupersede: "supersede",
    MemoryInvalidate: "invalidate",
}
_Result = tuple[MemoryState | None, list[Output]]
IN_FORCE = ("candidate", "active")
"""Statuses that are not final."""


@dataclass(frozen=True)
class MemoryAgent:
    """State key: the subject and the memory_id. State: `MemoryState`."""

    name: str = "memory"
    sources: tuple[str, ...] = (
        "commands",
        "candidates",
        "reinforcements",
        "memory-orders",
        "conflict-marks",
        "opinions",
    )
    targets: tuple[str, ...] = ("memories", "memory-events")

    def key(self, trigger: Trigger) -> str:
        """Return a key finer than the subject: each memory has a state of its own. Commands that are not about one lie
        under a key that never has a state."""
        value = trigger.value
        if isinstance(value, MemoryCreate):
            return finer(trigger.identity, memory_id(trigger.identity, trigger.id))
        return finer(trigger.identity, getattr(value, "memory_id", ""))

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record. Never raises Reject."""
        value = trigger.value
        if isinstance(value, MemoryCreate | Candidate | CreateOrder):
            return _create(state, trigger, policy)
        if isinstance(value, Reinforcement):
            return _reinforce(state, value, policy)
        if isinstance(value, ConflictMark):
            return _mark(state, value)
        if isinstance(value, MemoryImport):
            return take_over(state, trigger.identity, value)
        if not isinstance(value, OfMemory | MemoryOpinion | ActivateOrder | RetireOrder):
            return state, []
        if state is None:
            refused = entries.refused(trigger.identity, value.memory_id, None, "unknown_memory", value.by, value.ts)
            return None, [Output("memory-events", trigger.identity, refused)]
        if isinstance(value, MemoryOpinion):
            return _vote(state, value, policy)
        if isinstance(value, MemoryUpdate):
            return _update(state, value)
        if isinstance(value, ActivateOrder):
            fields = fields_of("promote", supersedes=value.supersedes)
            return _transition(state, value, "promote", fields, value.conflict_id, resolving=True)
        if isinstance(value, RetireOrder):
            return _retire(state, value)
        change = _CHANGES[type(value)]
        by_which = value.superseded_by if isinstance(value, MemorySupersede) else None
        return _transition(state, value, change, fields_of(change, superseded_by=by_which), value.reason)


AGENT = MemoryAgent()


def _create(state: MemoryState | None, trigger: Trigger, policy: "Policy") -> _Result:
    """A memory that is there already stays as it is: what creates it came twice."""
    if state is not None:
        return state, []
    value: MemoryCreate | Candidate | CreateOrder = trigger.value
    if isinstance(value, MemoryCreate):
        given = value.confidence
        entry = entries.new_entry(
            memory_id(trigger.identity, trigger.id),
            trigger.identity,
            type=value.type,
            content=value.content,
            slot=value.slot,
            status=value.status,
            confidence=policy.document.memory.operator_confidence if given is None else given,
            strength=None,
            source=Source(kind="operator"),
            by=value.by,
            ts=value.ts,
        )
    else:
        entry = entries.new_entry(
            value.memory_id,
            trigger.identity,
            type=value.type,
            content=value.content,
            slot=value.slot,
            status="candidate",
            confidence=value.confidence,
            strength=value.strength if isinstance(value, Candidate) else None,
            source=value.source,
            by=value.by,
            ts=value.ts,
        )
    more: dict[str, Any] = {}
    if isinstance(value, Candidate):
        more = {"interaction_id": value.source.interaction_id} | ({"capped": True} if value.capped else {})
    event = entries.event("created", None, entry, value.by, value.ts, **more)
    return {"entry": entry, "interactions": [], "other_active": False}, _outputs(event, entry)


def _transition(
    state: MemoryState,
    value: Any,
    change: Change,
    fields: dict[str, Any],
    reason: str | None,
    *,
    resolving: bool = False,
) -> _Result:
    before = state["entry"]
    refusal = refusal_of(change, state, resolving=resolving)
    if refusal == "same":
        return state, []
    if refusal is not None:
        return _refused(state, refusal, value)
    after = entries.changed(before, value.by, value.ts, **fields)
    event = entries.event(TRANSITIONS[change].kind, before, after, value.by, value.ts, reason=reason)
    return {**state, "entry": after}, _outputs(event, after)


def _retire(state: MemoryState, order: RetireOrder) -> _Result:
    """It lost a conflict: by the status that it has now, which may be newer than the one that the conflict knew."""
    status = state["entry"]["status"]
    if status == "active":
        fields = fields_of("supersede", superseded_by=order.superseded_by)
        return _transition(state, order, "supersede", fields, order.conflict_id)
    if status == "candidate":
        return _transition(state, order, "reject", fields_of("reject"), order.conflict_id)
    return state, []


def _update(state: MemoryState, command: MemoryUpdate) -> _Result:
    before = state["entry"]
    content = before["content"] if command.content is None else command.content
    confidence = before["confidence"] if command.confidence is None else command.confidence
    if before["status"] not in IN_FORCE:
        return _refused(state, "wrong_status", command)
    if command.version is not None and command.version < before["version"]:
        return _refused(state, "older_version", command)
    if (content, confidence) == (before["content"], before["confidence"]):
        return state, []
    after = entries.with_content(before, content, confidence, command.by, command.ts)
    event = entries.event("updated", before, after, command.by, command.ts, reason=command.reason)
    return {**state, "entry": after}, _outputs(event, after)


def _reinforce(state: MemoryState | None, value: Reinforcement, policy: "Policy") -> _Result:
    """Active memories only; a turn that reinforced it before adds nothing."""
    mark = entries.interaction_mark(value.interaction_id)
    if state is None or state["entry"]["status"] != "active" or mark in state["interactions"]:
        return state, []
    rules, before = policy.document.memory, state["entry"]
    after = entries.reinforced(before, rules.delta, value.by, value.ts)
    more: dict[str, Any] = {
        "interaction_id": value.interaction_id,
        "matched": value.matched,
        "total": value.total,
        **({"capped": True} if value.capped else {}),
    }
    event = entries.event("reinforced", before, after, value.by, value.ts, **more)
    interactions = [*state["interactions"], mark][-rules.interactions_remembered :]
    return {**state, "entry": after, "interactions": interactions}, _outputs(event, after)


def _vote(state: MemoryState, value: MemoryOpinion, policy: "Policy") -> _Result:
    """One voter's opinion more, in place of its earlier one. The same once more is nothing."""
    before, rules = state["entry"], policy.document.memory.consensus
    if before["status"] not in IN_FORCE:
        return _refused(state, "wrong_status", value)
    known = state.get("opinions", consensus.EMPTY)
    opinions = consensus.with_opinion(known, value, rules)
    if opinions is known:
        return state, []
    same = [vote[:2] for vote in known["voters"].values()] == [vote[:2] for vote in opinions["voters"].values()]
    if same and known["voters"].keys() == opinions["voters"].keys():
        return {**state, "opinions": opinions}, []
    found = consensus.tally(opinions["voters"], rules)
    after = entries.changed(before, value.by, value.ts, strength=found.strength)
    more: dict[str, Any] = {"opinion": value.opinion, **found._asdict()}
    if opinions["beyond"]:
        more["capped"] = True
    event = entries.event("voted", before, after, value.by, value.ts, **more)
    return {**state, "entry": after, "opinions": opinions}, _outputs(event, after)


def _refused(state: MemoryState, reason: str, value: Any) -> _Result:
    entry = state["entry"]
    refused = entries.refused(entry["subject"], entry["memory_id"], entry, reason, value.by, value.ts)
    return state, [Output("memory-events", entry["subject"], refused)]


def _mark(state: MemoryState | None, value: ConflictMark) -> _Result:
    if state is None:
        return None, []
    before = state["entry"]
    if before["open_conflict"] == value.conflict_id:
        return {**state, "other_active": value.other_active}, []
    # Who wrote it stays as it was: a mark is no word about the memory itself.
    after = entries.changed(before, before["by"], value.ts, open_conflict=value.conflict_id)
    return {**state, "entry": after, "other_active": value.other_active}, [_memory(after)]


def _outputs(event: dict[str, Any], entry: Entry) -> list[Output]:
    return [Output("memory-events", entry["subject"], event), _memory(entry)]


def _memory(entry: Entry) -> Output:
    return Output("memories", entry["subject"], entry)
