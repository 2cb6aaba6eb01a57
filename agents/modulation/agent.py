"""The modulation agent: one identity's signals, turns, style table, incidents and cap, and what they make of a turn."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from endocrine.agents._shared.clock import bounded, forward
from endocrine.agents.bonds.cap import check_cap
from endocrine.agents.capture.heuristics import signals_of
from endocrine.agents.contract import Output, Reject, State, Trigger
from endocrine.agents.modulation import active_signals as activation
from endocrine.agents.modulation import application, emitters, holds, risk
from endocrine.agents.modulation import modulation_records as turns
from endocrine.agents.modulation.combine import Style
from endocrine.agents.modulation.homeostat import admit
from endocrine.agents.modulation.memory import RISK, Accepted, Cap, Memory, Turn
from endocrine.agents.modulation.rules import Event
from endocrine.agents.policy.compiled import Policy
from endocrine.schemas.bonds import BondEvent
from endocrine.schemas.commands import ApproveTurn, ClearRisk, DenyTurn, SetCap
from endocrine.schemas.feedback import StyleTable
from endocrine.schemas.interactions import Opened
from endocrine.schemas.signals import EndocrineSignal
from endocrine.schemas.tools import Incident, ToolResult

_LATER = ("messages", "application_tools", "asked", "enforce", "door", "streamed", "images")
"""Fields of an opening that turns of earlier versions did not have."""


@dataclass(frozen=True)
class ModulationAgent:
    """Reads what bears on a turn; the only writer of `modulations`, so that revisions never collide."""

    name: str = "modulation"
    sources: tuple[str, ...] = (
        "commands",
        "bond-events",
        "signals",
        "style-tables",
        "incidents",
        "tool-results",
        "interactions",
    )
    targets: tuple[str, ...] = (turns.TARGET,)

    def key(self, trigger: Trigger) -> str:
        """Return the identity: its turns live inside its state."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: Policy) -> tuple[State, list[Output]]:
        """Return what the record's time ended first, then the record itself.

        Raises Reject: `conflicting_turn` for a second opening of one turn with other content, `not_held` and
        `unknown_turn` for an operator's command about a turn that it cannot be about.
        """
        if isinstance(trigger.value, BondEvent):
            return _imported(state, trigger.value), []
        memory = Memory.restored(state)
        ended = _expired(memory, trigger, policy)
        if isinstance(trigger.value, ApproveTurn | DenyTurn) and _names_one_of(ended, trigger.value.audit_id):
            return memory.stored(), ended  # the command came too late, and the expiry is the answer to it
        outputs = _apply(memory, trigger, policy)
        if outputs is None:
            return (memory.stored() if ended else state), ended
        return memory.stored(), [*ended, *outputs]


def _imported(state: State, event: BondEvent) -> State:
    """The state after an event of the ledger: an import brings the cap and the day's count, all others nothing.

    A cap that an operator set at a later event time stays, whichever of the two is read first.
    """
    taken = event.imported
    if taken is None or taken.cap is None or taken.count is None or taken.reset_at is None:
        return state
    memory = Memory.restored(state)
    cap = memory.cap.per_day if memory.clocks.get("cap", 0.0) > event.timestamp else taken.cap
    memory.cap = Cap(cap, taken.count, taken.reset_at)
    return memory.stored()


def _apply(memory: Memory, trigger: Trigger, policy: Policy) -> list[Output] | None:
    """What the record says; None where it changes nothing."""
    value, rules = trigger.value, policy.document.homeostat.memory
    if isinstance(value, Opened):
        return _open(memory, trigger, value, policy)
    if trigger.topic == "interactions":
        spent = emitters.spend(memory, value, policy)
        if value.audit_id not in memory.turns and not spent:
            return None
        memory.close(value.audit_id, rules)
        return []
    if isinstance(value, EndocrineSignal):
        return _signal(memory, trigger, value, policy)
    if isinstance(value, StyleTable):
        memory.style = Style(value.temperature_delta, value.top_p_delta, value.memory_write_boost, value.locked)
        return []
    if isinstance(value, SetCap):
        memory.cap = memory.cap._replace(per_day=value.cap)
        memory.clocks["cap"] = value.ts
        return []
    if isinstance(value, ApproveTurn | DenyTurn):
        return [_answer(memory, trigger.identity, value, policy)]
    if isinstance(value, ClearRisk):
        return _clear(memory, trigger.identity, value, policy)
    if isinstance(value, Incident) and value.kind == "tool_blocked" and value.audit_id in memory.turns:
        turn = memory.turns[value.audit_id]
        return turns.tightened(policy, trigger.identity, value.audit_id, memory, turn, value.incident_id, value.ts)
    if isinstance(value, Incident | ToolResult) and (event := emitters.event_of(value)) is not None:
        return _event(memory, trigger, event, value, policy)
    return None


def _expired(memory: Memory, trigger: Trigger, policy: Policy) -> list[Output]:
    """Held turns whose waiting is over at the record's time: refused, `hold_expired`."""
    outputs = []
    for audit_id, turn in memory.turns.items():
        if turn.expires is not None and holds.overdue(turn, trigger.value.ts):
            ts = turn.expires
            holds.refuse(turn, "hold_expired")
            outputs.append(turns.answered(policy, trigger.identity, audit_id, memory, turn, ts))
    return outputs


def _names_one_of(modulations: Iterable[Output], audit_id: str) -> bool:
    return any(modulation.value["audit_id"] == audit_id for modulation in modulations)


def _answer(memory: Memory, identity: str, command: ApproveTurn | DenyTurn, policy: Policy) -> Output:
    """A person's answer about a held turn. One that is approved is one of the day's messages from then on."""
    turn = holds.held_turn(memory, command.audit_id, command.kind)
    if isinstance(command, DenyTurn):
        holds.refuse(turn, "denied")
    else:
        holds.approve(turn, turns.risk_of(turn), command.by)
        if not turn.counted:
            turn.counted = True
            _message(memory, command.ts, policy, admitted=True)
    return turns.answered(policy, identity, command.audit_id, memory, turn, command.ts)


def _clear(memory: Memory, identity: str, command: ClearRisk, policy: Policy) -> list[Output]:
    """End the alignment_risk in force; turns that it counted for are settled without it."""
    if command.audit_id is not None and command.audit_id not in memory.turns:
        raise Reject(
            "unknown_turn",
            f"audit_id: turn {command.audit_id!r} is not an open turn of this identity, expected one that is,"
            " or none: then the risk of the identity is cleared",
        )
    counted = risk.clear(memory, command.audit_id, policy.document.homeostat.memory)
    return [
        output
        for audit_id, signal in counted.items()
        for output in turns.revised(
            policy, identity, audit_id, memory, memory.turns[audit_id], command.ts, always=True, cleared=signal
        )
    ]


def _message(memory: Memory, ts: float, policy: Policy, *, admitted: bool) -> None:
    """Count a message against the day's cap, on a clock that never goes back."""
    cap, count, reset_at = memory.cap
    clock = memory.clocks["messages"] = forward(memory.clocks.get("messages"), ts)
    check = check_cap(cap, count, reset_at, clock, day_s=policy.document.bonds.day_s)
    memory.cap = Cap(cap, check.count + admitted, check.reset_at)


def _open(memory: Memory, trigger: Trigger, opened: Opened, policy: Policy) -> list[Output] | None:
    rules = policy.document.homeostat
    content = _content(opened)
    known = memory.known_content(opened.audit_id)
    if known == content:
        return None
    if known is not None:
        raise Reject(
            "conflicting_turn",
            f"audit_id: turn {opened.audit_id!r} was opened before with other content,"
            " expected the same content again or an audit_id of its own",
        )
    for signal in (*_inline(opened, policy), *_worded(opened, policy)):
        admit(memory, policy, signal, trigger.appended)
    for signal in emitters.raised("budget_near", opened.audit_id, opened.ts, None, policy):
        if emitters.nearly_spent(memory, opened.ts, policy):
            admit(memory, policy, signal, trigger.appended)
    allowed = _within_cap(memory, opened.ts, policy)
    ts = bounded(opened.ts, trigger.appended, 0.0)
    memory.clocks["turns"] = forward(memory.clocks.get("turns"), ts)
    used, others = activation.for_opening(memory, opened.audit_id, ts, rules.memory)
    turn = Turn(content, ts, allowed, None if allowed else "rate_limited", used)
    turn.answered = opened.respond is True
    application.opened(memory, turn, opened, policy)
    alone = bool(opened.signals) and all(signal.name == RISK for signal in opened.signals or ())
    output = turns.first(policy, trigger.identity, opened.audit_id, memory, turn, others, opened.ts, risk_alone=alone)
    turn.counted = turn.admitted
    _message(memory, opened.ts, policy, admitted=turn.admitted)
    memory.turns[opened.audit_id] = turn
    memory.make_room(rules.memory)
    return [output]


def _within_cap(memory: Memory, ts: float, policy: Policy) -> bool:
    cap, count, reset_at = memory.cap
    clock = forward(memory.clocks.get("messages"), ts)
    return check_cap(cap, count, reset_at, clock, day_s=policy.document.bonds.day_s).allowed


def _inline(opened: Opened, policy: Policy) -> list[Accepted]:
    """The signals a turn brings."""
    inline = policy.document.homeostat.inline
    return [
        Accepted(
            signal.name,
            signal.level,
            inline.ttl_ms if signal.ttl_ms is None else signal.ttl_ms,
            signal.source or inline.source,
            opened.audit_id,
            opened.ts,
            "used",
        )
        for signal in opened.signals or ()
    ]


def _worded(opened: Opened, policy: Policy) -> list[Accepted]:
    """The signals that a turn's wording gives, where the policy says so and the turn brings none but alignment_risk."""
    words = policy.document.heuristics
    if not words.live or any(signal.name != RISK for signal in opened.signals or ()):
        return []
    read = signals_of(opened.prompt, words)
    return [
        Accepted(name, level, words.ttl_ms, words.source, opened.audit_id, opened.ts, "used") for name, level in read
    ]


def _signal(memory: Memory, trigger: Trigger, given: EndocrineSignal, policy: Policy) -> list[Output]:
    """Take a signal in; one that names an open turn makes it settle again."""
    signal = Accepted(given.name, given.level, given.ttl_ms, given.source, given.audit_id, given.ts, "used")
    accepted = admit(memory, policy, signal, trigger.appended)
    turn = None if given.audit_id is None else memory.turns.get(given.audit_id)
    if not accepted or given.audit_id is None or turn is None:
        return []
    rules, risk_alone = policy.document.homeostat.memory, given.name == RISK
    turn.used = activation.for_revision(memory, given.audit_id, turn, rules, risk_alone=risk_alone)
    return turns.revised(policy, trigger.identity, given.audit_id, memory, turn, given.ts)


def _event(
    memory: Memory, trigger: Trigger, event: Event, cause: Incident | ToolResult, policy: Policy
) -> list[Output]:
    """Raise what the event's emitters say; its turn, where it is open, settles again.

    A guardian's veto is a new revision whatever changes: the turn is asked once more under it (rules, section 1).
    """
    score = cause.score if isinstance(cause, Incident) else None
    signals = emitters.raised(event, cause.audit_id, cause.ts, score, policy)
    accepted = [signal.name for signal in signals if admit(memory, policy, signal, trigger.appended)]
    turn = None if cause.audit_id is None else memory.turns.get(cause.audit_id)
    always = event == "guardian_veto"
    if cause.audit_id is None or turn is None or not (accepted or always):
        return []
    rules, risk_alone = policy.document.homeostat.memory, all(name == RISK for name in accepted)
    turn.used = activation.for_revision(memory, cause.audit_id, turn, rules, risk_alone=risk_alone)
    return turns.revised(policy, trigger.identity, cause.audit_id, memory, turn, cause.ts, always=always)


def _content(opened: Opened) -> str:
    """Digest of an opening record without the id of the record itself; for recognition only, so half of it is kept.

    Fields that came later count where they are given: a turn keeps its digest over an upgrade.
    """
    left_out = {"id", *(name for name in _LATER if getattr(opened, name) is None)}
    return hashlib.sha256(opened.model_dump_json(exclude=left_out).encode()).hexdigest()[:32]


AGENT = ModulationAgent()
