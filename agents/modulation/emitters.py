"""Events that raise signals by themselves, as the policy declares them (rules, section 1)."""

from endocrine.agents._shared.clock import forward
from endocrine.agents.modulation.memory import Accepted, Memory, Spent, micros
from endocrine.agents.modulation.rules import Event
from endocrine.agents.policy.compiled import Policy
from endocrine.schemas.interactions import Closed
from endocrine.schemas.tools import Incident, ToolResult


def event_of(record: Incident | ToolResult) -> Event | None:
    """Return the event of a record; None where it has none.

    An incident without a turn has none: it is of a feedback note, and feedback never reaches safety (rules, section 3).
    """
    if isinstance(record, ToolResult):
        return None if record.status == "ok" else "tool_failure"
    if record.audit_id is None:
        return None
    if record.kind == "guardian_veto":
        return "guardian_veto"
    return "moderation_flag" if record.kind == "moderation" else None


def raised(event: Event, audit_id: str | None, ts: float, score: float | None, policy: Policy) -> list[Accepted]:
    """Return the signals that an event raises, not yet tried against the homeostat."""
    highest = 1.0 if score is None else score
    return [
        Accepted(
            emitter.signal,
            highest if isinstance(emitter.level, str) else emitter.level,
            emitter.ttl_ms,
            emitter.source,
            audit_id,
            ts,
            "used",
        )
        for emitter in policy.document.homeostat.emitters
        if emitter.event == event
    ]


def spend(memory: Memory, closed: Closed, policy: Policy) -> bool:
    """Count the tokens of a turn that closed; True where there were any."""
    if closed.usage is None or closed.usage.input_tokens + closed.usage.output_tokens == 0:
        return False
    start, tokens = _window(memory, closed.ts, policy)
    memory.spent = Spent(start, tokens + closed.usage.input_tokens + closed.usage.output_tokens)
    return True


def nearly_spent(memory: Memory, ts: float, policy: Policy) -> bool:
    """Return whether closed turns used the soft share of the token budget in the window that `ts` falls into."""
    budget = policy.document.budget
    return _window(memory, ts, policy).tokens >= budget.soft_share * budget.limit


def _window(memory: Memory, ts: float, policy: Policy) -> Spent:
    start, tokens = memory.spent
    clock = memory.clocks["tokens"] = forward(memory.clocks.get("tokens"), ts)
    if tokens == 0 or micros(clock) - start >= micros(policy.document.budget.window_s):
        return Spent(micros(clock), 0)
    return memory.spent
