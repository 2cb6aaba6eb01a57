"""Events that raise signals by themselves, as the policy declares them (rules, section 1)."""

from endocrine.agents._shared.clock import forward
from endocrine.agents.modulation.memory import Held, Memory, micros
from endocrine.agents.modulation.rules import Event
from endocrine.agents.policy.compiled import Policy
from endocrine.schemas.interactions import Closed
from endocrine.schemas.tools import Incident, ToolResult


def event_of(told: Incident | ToolResult) -> Event | None:
    """The event that a record is; None where it is none.

    An incident of no turn is none: it is of a feedback note, and feedback never reaches safety (rules, section 3).
    """
    if isinstance(told, ToolResult):
        return None if told.status == "ok" else "tool_failure"
    if told.audit_id is None:
        return None
    if told.kind == "guardian_veto":
        return "guardian_veto"
    return "moderation_flag" if told.kind == "moderation" else None


def raised(event: Event, audit_id: str | None, ts: float, score: float | None, policy: Policy) -> list[Held]:
    """The signals that an event raises, not yet tried against the homeostat."""
    highest = 1.0 if score is None else score
    return [
        Held(
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
    memory.spent = [start, tokens + closed.usage.input_tokens + closed.usage.output_tokens]
    return True


def nearly_spent(memory: Memory, ts: float, policy: Policy) -> bool:
    """Whether closed turns used the soft share of the token budget in the window that `ts` falls into."""
    budget = policy.document.budget
    return _window(memory, ts, policy)[1] >= budget.soft_share * budget.limit


def _window(memory: Memory, ts: float, policy: Policy) -> tuple[int, int]:
    start, tokens = memory.spent
    clock = memory.clocks["tokens"] = forward(memory.clocks.get("tokens"), ts)
    if tokens == 0 or micros(clock) - start >= micros(policy.document.budget.window_s):
        return micros(clock), 0
    return start, tokens
