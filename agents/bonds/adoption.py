"""Taking over an entry of another ledger (memory, sections 8.1 and 14.16): the events of each part, then the entry.

The first part decides: an entry that is there stays, unless the import is to replace it. What is not taken is an event
too, so that whoever imports sees it; parts that follow a refused one change nothing and say nothing.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from endocrine.agents.bonds.entry import Entry, read_entry
from endocrine.agents.bonds.memory import Adopting, BondState
from endocrine.agents.canonical import canonical_json
from endocrine.agents.contract import Output, Trigger
from endocrine.schemas.commands import AdoptBond

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy
    from endocrine.schemas.vocabulary import ImportOutcome


def adopt(state: BondState | None, trigger: Trigger, policy: "Policy") -> tuple[BondState | None, list[Output]]:
    """Process one part of an import."""
    command: AdoptBond = trigger.value
    begun = None if state is None else state.get("adopting")
    if command.part > 1 and begun is None:
        return state, []
    if command.part == 1 and state is not None and not command.replace:
        return state, [_ended(trigger, "exists")]
    try:
        entry = read_entry({**command.entry, "user_id": trigger.identity})
    except ValueError:
        return state, [_ended(trigger, "unreadable")]
    if len(entry["peak_nodes"]) > policy.document.bonds.nodes_kept:
        return state, [_ended(trigger, "too_many_nodes")]
    if command.part == 1:
        state = {**(state or {"entry": entry, "commands": []}), "entry": entry}
        begun = {"entry": _digest(entry), "parts": command.parts, "next": 1}
    assert state is not None
    if begun != {"entry": _digest(entry), "parts": command.parts, "next": command.part}:
        return _without(state), [_ended(trigger, "out_of_order")]
    commands = [*state["commands"], trigger.id][-policy.document.bonds.commands_remembered :]
    events = [Output("bond-events", trigger.identity, _event(trigger, **one.model_dump())) for one in command.events]
    if command.part < command.parts:
        left: Adopting = {**begun, "next": command.part + 1}
        return {**state, "commands": commands, "adopting": left}, events
    # A message that came between the parts is counted in the entry of the state.
    taken = read_entry(state["entry"])
    after: BondState = {**_without(state), "entry": taken, "commands": commands}
    return after, [*events, _ended(trigger, "taken", taken), Output("bonds", trigger.identity, taken)]


def _digest(entry: Entry) -> str:
    return hashlib.sha256(canonical_json(entry)).hexdigest()[:32]


def _without(state: BondState) -> BondState:
    after = state.copy()
    after.pop("adopting", None)
    return after


def _ended(trigger: Trigger, outcome: "ImportOutcome", entry: Entry | None = None) -> Output:
    """The event that ends an import. entry: what was taken."""
    command: AdoptBond = trigger.value
    imported: dict[str, Any] = {"command": trigger.id, "outcome": outcome, "cap": None, "count": None, "reset_at": None}
    if entry is not None:
        imported |= {
            "cap": entry["daily_msg_cap"],
            "count": entry["daily_msg_count"],
            "reset_at": entry["daily_msg_reset_at"],
        }
    done = "imported" if entry is not None else f"not imported ({outcome})"
    event = _event(
        trigger,
        timestamp=command.ts,
        event_type="admin_action",
        detail=f"{done} by {command.by}",
        data={"old": None, "new": None if entry is None else entry["daily_msg_cap"]},
    )
    return Output("bond-events", trigger.identity, {**event, "imported": imported})


def _event(trigger: Trigger, **fields: Any) -> dict[str, Any]:
    return {"identity": trigger.identity, **fields}
