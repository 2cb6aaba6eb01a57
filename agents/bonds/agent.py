"""The bond ledger: one entry per user, and an event for each change worth one (rules, section 6).

- A detection is compared with the entry: `phase_transition`, `risk_change`, then `ulm_spike` per node in order of name,
  for nodes that had a peak: the first sight of one sets its peak silently.
- An admitted turn (revision 0 of its modulation) is one message of the day's counter; a refused one changes nothing. A
  held turn is counted with the revision that admits it. The day runs on a clock that never goes back.
- `set_cap` and `add_note` are `admin_action` events; `adopt_bond` takes an entry of another ledger over (adoption.py);
  other commands are not the ledger's.
- Outputs: the events, then the entry.
- An event's data is `{old, new}`. Records apply in the order they arrive.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.clock import forward
from endocrine.agents.bonds.adoption import adopt
from endocrine.agents.bonds.cap import check_cap
from endocrine.agents.bonds.entry import Entry, exceeds_by, note_line, ratchet, read_entry, touched
from endocrine.agents.bonds.memory import BondState, new_state
from endocrine.agents.contract import Output, Reject, State, Trigger
from endocrine.schemas.bonds import Detection
from endocrine.schemas.commands import AddNote, AdoptBond, SetCap
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.vocabulary import BondEventType

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


@dataclass(frozen=True)
class Bonds:
    """State key: the identity. State: `BondState`."""

    name: str = "bonds"
    sources: tuple[str, ...] = ("detections", "commands", "modulations")
    targets: tuple[str, ...] = ("bonds", "bond-events")

    def key(self, trigger: Trigger) -> str:
        """Return one key per identity."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one record. Raises Reject: too_many_nodes."""
        value = trigger.value
        if trigger.topic == "modulations":
            return _modulation(state, trigger, policy)
        if trigger.topic == "commands" and not isinstance(value, SetCap | AddNote | AdoptBond):
            return state, []
        if isinstance(value, AdoptBond):
            copied = state is not None and trigger.id in state["commands"]
            return (state, []) if copied else adopt(state, trigger, policy)
        known: BondState = state or new_state(trigger.identity, value.ts)
        if trigger.topic == "commands" and trigger.id in known["commands"]:
            return state, []
        entry, events = _APPLY[trigger.topic](read_entry(known["entry"]), trigger, policy)
        commands = known["commands"]
        if trigger.topic == "commands":
            commands = [*commands, trigger.id][-policy.document.bonds.commands_remembered :]
        after: BondState = {**known, "entry": entry, "commands": commands}
        return after, [*events, Output("bonds", trigger.identity, entry)]


AGENT = Bonds()


def _detection(entry: Entry, trigger: Trigger, policy: "Policy") -> tuple[Entry, list[Output]]:
    seen: Detection = trigger.value
    rules = policy.document.bonds
    peaks = ratchet(entry["peak_nodes"], seen.ulm)
    if len(peaks) > rules.nodes_kept:
        raise Reject(
            "too_many_nodes",
            f"ulm: with this detection {len(peaks)} nodes would have a peak, expected at most {rules.nodes_kept}",
        )
    events: list[Output] = []
    after: Entry = {
        **entry,
        "archetype": entry["archetype"] if seen.childhood_archetype is None else seen.childhood_archetype,
        "turn_count": seen.turn_count,
        "peak_nodes": peaks,
        "risk_level": seen.risk_level,
        "egg_status": entry["egg_status"] if seen.egg_status is None else seen.egg_status,
    }
    if seen.phase != entry["phase"]:
        detail = f"phase {entry['phase']} -> {seen.phase}"
        events.append(_event(trigger, "phase_transition", detail, entry["phase"], seen.phase))
        after = {**after, "phase": seen.phase, "prev_phase": entry["phase"], "phase_entered_at": seen.ts}
    if seen.risk_level != entry["risk_level"]:
        detail = f"risk {entry['risk_level']} -> {seen.risk_level}"
        events.append(_event(trigger, "risk_change", detail, entry["risk_level"], seen.risk_level))
    for node, activation in sorted(seen.ulm.items()):
        peak = entry["peak_nodes"].get(node)
        if peak is not None and exceeds_by(activation, peak, rules.spike):
            events.append(_event(trigger, "ulm_spike", f"{node} {peak} -> {activation}", peak, activation))
    return touched(after, seen.ts), events


def _command(entry: Entry, trigger: Trigger, policy: "Policy") -> tuple[Entry, list[Output]]:
    command: SetCap | AddNote = trigger.value
    if isinstance(command, SetCap):
        old = entry["daily_msg_cap"]
        detail = f"daily_msg_cap {old} -> {command.cap} by {command.by}"
        after: Entry = {**entry, "daily_msg_cap": command.cap}
        event = _event(trigger, "admin_action", detail, old, command.cap)
    else:
        note = note_line(command.text, command.ts)
        after = {**entry, "notes": [*entry["notes"], note][-policy.document.bonds.notes_kept :]}
        event = _event(trigger, "admin_action", f"note added by {command.by}", None, note)
    return touched(after, command.ts), [event]


def _modulation(state: BondState | None, trigger: Trigger, policy: "Policy") -> tuple[BondState | None, list[Output]]:
    """One message more where a turn is admitted for the first time, by revision 0 or by the end of its hold."""
    value: Modulation = trigger.value
    held: list[str] = [] if state is None else state.get("held", [])
    first, waited = value.revision == 0, value.audit_id in held
    waits = not value.admitted and value.refusal == "held"
    if not (waited and not waits) and not (first and (value.admitted or waits)):
        return state, []
    known = state or new_state(trigger.identity, value.ts)
    clock = forward(known.get("clock"), value.ts)
    held = [audit_id for audit_id in held if audit_id != value.audit_id]
    if waits:
        held = [*held, value.audit_id][-policy.document.bonds.held_remembered :]
    before = read_entry(known["entry"])
    entry = before if waited and not value.admitted else _message(before, trigger, clock, policy)
    outputs = [Output("bonds", trigger.identity, entry)] if entry != before else []
    return {**known, "entry": entry, "clock": clock, "held": held}, outputs


def _message(entry: Entry, trigger: Trigger, clock: float, policy: "Policy") -> Entry:
    """The entry after a message; one that waits for a person begins a new day where that is due, and is not counted."""
    check = check_cap(
        entry["daily_msg_cap"],
        entry["daily_msg_count"],
        entry["daily_msg_reset_at"],
        clock,
        day_s=policy.document.bonds.day_s,
    )
    if not trigger.value.admitted:
        return {**entry, "daily_msg_count": check.count, "daily_msg_reset_at": check.reset_at}
    counted: Entry = {**entry, "daily_msg_count": check.count + 1, "daily_msg_reset_at": check.reset_at}
    return touched(counted, trigger.value.ts)


_APPLY = {"detections": _detection, "commands": _command}


def _event(trigger: Trigger, event_type: BondEventType, detail: str, old: Any, new: Any) -> Output:
    event = {
        "identity": trigger.identity,
        "timestamp": trigger.value.ts,
        "event_type": event_type,
        "detail": detail,
        "data": {"old": old, "new": new},
    }
    return Output("bond-events", trigger.identity, event)
