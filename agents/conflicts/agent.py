"""The conflicts agent: values of one slot that disagree (memory, section 6).

It follows `memory-events`, `state-events` and tools' `facts`; each is a value for a slot, and the slot of trusted state
is its key. Where two values disagree it says so, in
`conflicts` for views and in `conflict-marks` for the memories in it; it blocks no write and merges nothing. A person
ends a conflict; orders then go to the memory agent. What has no slot is never compared.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.memories import memory_id, value_digest
from endocrine.agents._shared.subjects import finer
from endocrine.agents.conflicts.judge import Cause, judge
from endocrine.agents.conflicts.resolve import resolve
from endocrine.agents.conflicts.slot import EMPTY, Member, SlotState, with_fact, with_member, without_member
from endocrine.agents.contract import Output, State, Trigger, output_id
from endocrine.schemas.commands import ConflictResolve
from endocrine.schemas.conflicts import Fact
from endocrine.schemas.memory import MemoryEvent
from endocrine.schemas.trusted_state import StateEvent

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

_IDLE = ("reinforced", "voted", "refused", "dropped")
"""Kinds of events that change neither value nor status."""


@dataclass(frozen=True)
class Conflicts:
    """State key: the subject and the slot. State: `SlotState`."""

    name: str = "conflicts"
    sources: tuple[str, ...] = ("memory-events", "state-events", "facts", "commands")
    targets: tuple[str, ...] = ("conflicts", "conflict-events", "conflict-marks", "memory-orders")

    def key(self, trigger: Trigger) -> str:
        """Return a key finer than the subject. What has no slot lies under a key that never has a state."""
        return finer(trigger.identity, _slot(trigger.value) or "")

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record. Never raises Reject."""
        value, rules = trigger.value, policy.document.memory.conflicts
        slot = _slot(value)
        if slot is None:
            return state, []
        known: SlotState = EMPTY if state is None else state
        by = value.exporter if isinstance(value, Fact) else value.by
        cause = Cause(trigger.identity, slot, trigger.id, by, value.ts)
        if isinstance(value, ConflictResolve):
            after, outputs = resolve(known, value, cause, rules)
        elif isinstance(value, Fact):
            after, outputs = _fact(known, trigger, cause, policy)
        elif isinstance(value, StateEvent):
            after, outputs = _trusted(known, value, cause, policy)
        elif value.kind not in _IDLE:
            after, outputs = _memory(known, value, cause, policy)
        else:
            return state, []
        return (None if after == EMPTY else after), outputs


AGENT = Conflicts()


def _slot(value: Any) -> str | None:
    """The slot that a record is about; None for one that has none, or is not this agent's."""
    if isinstance(value, StateEvent):
        return value.key
    return value.slot if isinstance(value, ConflictResolve | Fact | MemoryEvent) else None


def _trusted(state: SlotState, event: StateEvent, cause: Cause, policy: "Policy") -> tuple[SlotState, list[Output]]:
    """Operators stated the slot's value, or took that back. Nothing here ever writes it."""
    name = f"state:{event.category}/{event.key}"
    if event.kind in ("set", "updated") and event.new is not None:
        member = Member("state", event.new, "active", event.ts)
        return judge(with_member(state, name, member, policy.document.memory.conflicts), cause)
    if event.kind == "invalidated" and name in state["members"]:
        return judge(without_member(state, name), cause)
    return state, []


def _memory(state: SlotState, event: MemoryEvent, cause: Cause, policy: "Policy") -> tuple[SlotState, list[Output]]:
    """A memory of this slot took a value or a status."""
    if event.memory_id is None or event.value is None:
        return state, []
    if event.new_status == "active" or event.new_status == "candidate":
        member = Member("memory", event.value, event.new_status, event.ts)
        state = with_member(state, event.memory_id, member, policy.document.memory.conflicts)
        if event.kind in ("created", "imported") and event.memory_id in state["marked"]:
            # It was a member before it was a memory (a fact's), and nobody was there to take the mark.
            marked = {name: mark for name, mark in state["marked"].items() if name != event.memory_id}
            state = {**state, "marked": marked}
    elif event.memory_id in state["members"]:
        state = without_member(state, event.memory_id)
    else:
        return state, []
    return judge(state, cause)


def _fact(state: SlotState, trigger: Trigger, cause: Cause, policy: "Policy") -> tuple[SlotState, list[Output]]:
    """A tool's value. One that nobody has becomes a candidate; the active ones are left as they are."""
    fact: Fact = trigger.value
    rules, digest = policy.document.memory.conflicts, value_digest(fact.value)
    before = state["facts"].get(fact.exporter)
    known = {value_digest(str(row[1])) for row in state["members"].values()}
    state = with_fact(state, fact.exporter, digest, fact.ts, rules)
    if (before is not None and before[0] == digest) or digest in known:
        return state, []
    created = memory_id(cause.subject, output_id("conflicts", trigger, 0))
    order = {
        "kind": "create",
        "subject": cause.subject,
        "memory_id": created,
        "type": "knowledge",
        "content": fact.value,
        "slot": fact.slot,
        "confidence": rules.fact_confidence,
        "source": {"kind": "import", "exporter": fact.exporter, "artifact": fact.source_artifact},
        "by": f"{fact.exporter}/{fact.exporter_version}"[:256],
        "ts": fact.ts,
    }
    state = with_member(state, created, Member("tool", fact.value, "candidate", fact.ts), rules)
    state, outputs = judge(state, cause)
    return state, [Output("memory-orders", cause.subject, order), *outputs]
