"""The modulation agent: one identity's signals, turns, style table, incidents and cap, and what they make of a turn."""

import hashlib
from dataclasses import dataclass

from agents.bonds.cap import check_cap
from agents.capture.heuristics import signals_of
from agents.contract import Output, Reject, State, Trigger
from agents.modulation import activation, emitters, turns
from agents.modulation.homeostat import admit
from agents.modulation.memory import Held, Memory, Turn
from agents.modulation.rules import Event
from agents.policy.compiled import Policy
from schemas.commands import SetCap
from schemas.feedback import StyleTable
from schemas.interactions import Opened
from schemas.signals import EndocrineSignal
from schemas.tools import Incident, ToolResult


@dataclass(frozen=True)
class ModulationAgent:
    """Reads what bears on a turn; the only writer of `modulations`, so that revisions never collide."""

    name: str = "modulation"
    sources: tuple[str, ...] = ("commands", "signals", "style-tables", "incidents", "tool-results", "interactions")
    targets: tuple[str, ...] = (turns.TARGET,)

    def key(self, trigger: Trigger) -> str:
        """The identity: its turns live inside its state."""
        return trigger.identity

    def think(self, state: State, trigger: Trigger, policy: Policy) -> tuple[State, list[Output]]:
        """Raises Reject (`conflicting_turn`) for a second opening of one turn with other content."""
        value = trigger.value
        if isinstance(value, Opened):
            return _open(state, trigger.identity, value, policy)
        memory = Memory.restored(state)
        rules = policy.document.homeostat.memory
        if trigger.topic == "interactions":
            spent = emitters.spend(memory, value, policy)
            if value.audit_id not in memory.turns and not spent:
                return state, []
            memory.close(value.audit_id, rules)
            return memory.stored(), []
        if isinstance(value, EndocrineSignal):
            outputs = _signal(memory, trigger.identity, value, policy)
        elif isinstance(value, StyleTable):
            memory.style = [value.temperature_delta, value.top_p_delta, value.memory_write_boost, value.locked]
            outputs = []
        elif isinstance(value, SetCap):
            memory.cap = [value.cap, *memory.cap[1:]]
            outputs = []
        elif isinstance(value, Incident) and value.kind == "tool_blocked" and value.audit_id in memory.turns:
            turn = memory.turns[value.audit_id]
            outputs = turns.tightened(policy, trigger.identity, value.audit_id, turn, value.incident_id, value.ts)
        elif isinstance(value, Incident | ToolResult) and (event := emitters.event_of(value)) is not None:
            outputs = _event(memory, trigger.identity, event, value, policy)
        else:
            return state, []
        return memory.stored(), outputs


def _open(state: State, identity: str, opened: Opened, policy: Policy) -> tuple[State, list[Output]]:
    memory = Memory.restored(state)
    rules = policy.document.homeostat
    content = _content(opened)
    known = memory.known_content(opened.audit_id)
    if known == content:
        return state, []
    if known is not None:
        raise Reject(
            "conflicting_turn",
            f"audit_id: turn {opened.audit_id!r} was opened before with other content,"
            " expected the same content again or an audit_id of its own",
        )
    for signal in _inline(opened, policy):
        admit(memory, policy, signal)
    cap, count, reset_at = memory.cap
    for signal in emitters.raised("budget_near", opened.audit_id, opened.ts, None, policy):
        if emitters.nearly_spent(memory, opened.ts, policy):
            admit(memory, policy, signal)
    check = check_cap(cap, count, reset_at, opened.ts, day_s=policy.document.bonds.day_s)
    memory.cap = [cap, check.count + check.allowed, check.reset_at]
    used, others = activation.for_opening(memory, opened.audit_id, opened.ts, rules.memory)
    turn = Turn(content, opened.ts, check.allowed, None if check.allowed else "rate_limited", used)
    turn.answered = opened.respond is True
    output = turns.first(policy, identity, opened.audit_id, memory, turn, others)
    memory.turns[opened.audit_id] = turn
    memory.make_room(rules.memory)
    return memory.stored(), [output]


def _inline(opened: Opened, policy: Policy) -> list[Held]:
    """The signals a turn brings; where it brings none and the policy says so, those its wording gives."""
    inline = policy.document.homeostat.inline
    if opened.signals:
        return [
            Held(
                signal.name,
                signal.level,
                inline.ttl_ms if signal.ttl_ms is None else signal.ttl_ms,
                signal.source or inline.source,
                opened.audit_id,
                opened.ts,
                "used",
            )
            for signal in opened.signals
        ]
    words = policy.document.heuristics
    if not words.live:
        return []
    read = signals_of(opened.prompt, words)
    return [Held(name, level, words.ttl_ms, words.source, opened.audit_id, opened.ts, "used") for name, level in read]


def _signal(memory: Memory, identity: str, given: EndocrineSignal, policy: Policy) -> list[Output]:
    """Take a signal in; one that names an open turn makes it settle again."""
    signal = Held(given.name, given.level, given.ttl_ms, given.source, given.audit_id, given.ts, "used")
    if not admit(memory, policy, signal) or given.audit_id is None or given.audit_id not in memory.turns:
        return []
    turn = memory.turns[given.audit_id]
    rules = policy.document.homeostat.memory
    used = activation.for_revision(memory, given.audit_id, turn.ts, turn.used, rules)
    return turns.revised(policy, identity, given.audit_id, memory, turn, used, given.ts)


def _event(memory: Memory, identity: str, event: Event, told: Incident | ToolResult, policy: Policy) -> list[Output]:
    """Raise what the event's emitters say; its turn, where it is open, settles again.

    A guardian's veto is a new revision whatever changes: the turn is asked once more under it (rules, section 1).
    """
    score = told.score if isinstance(told, Incident) else None
    signals = emitters.raised(event, told.audit_id, told.ts, score, policy)
    accepted = [admit(memory, policy, signal) for signal in signals]
    turn = None if told.audit_id is None else memory.turns.get(told.audit_id)
    if told.audit_id is None or turn is None or not (any(accepted) or event == "guardian_veto"):
        return []
    rules = policy.document.homeostat.memory
    used = activation.for_revision(memory, told.audit_id, turn.ts, turn.used, rules)
    always = event == "guardian_veto"
    return turns.revised(policy, identity, told.audit_id, memory, turn, used, told.ts, always)


def _content(opened: Opened) -> str:
    """Digest of an opening record without the id of the record itself; for recognition only, so half of it is kept."""
    return hashlib.sha256(opened.model_dump_json(exclude={"id"}).encode()).hexdigest()[:32]


AGENT = ModulationAgent()
