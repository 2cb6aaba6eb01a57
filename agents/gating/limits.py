"""Rate limits and breakers per (identity, tool). All functions return new values.

rates:    {tool: [start of the window, calls in it, when the next one is due]}  microseconds; start by the identity's
          clock, due by the broker's, null without one
circuits: {tool: [failed results in a row, moment it opened or null, moment of the probe or null]}
          (endocrine.agents.gating.moments)

A new window begins when the identity's clock says that the last one has run out. That clock is claimed, so the broker's
holds it: no more windows begin than have gone by on it, and `burst` ahead of them (rules, section 10).

A breaker here sees one identity's results, because that is what state under one key can hold. A service that is down
for everybody is the connector's breaker to notice: it answers `error` at once, which this one counts.
"""

from endocrine.agents.gating.memory import Json, without
from endocrine.agents.gating.moments import Moment, elapsed_us, micros
from endocrine.agents.gating.rules import GatingRules
from endocrine.schemas.tools import ToolResult


def over_rate(state: Json, tool: str, at: Moment, rules: GatingRules) -> bool:
    """Whether one more call of the tool is above its limit."""
    return bool(_window(state, tool, at, rules)[1] >= rules.rate_limits.of(tool).calls)


def counted(state: Json, tool: str, at: Moment, rules: GatingRules) -> Json:
    """The state after one more call of the tool."""
    start, calls, due = _window(state, tool, at, rules)
    return {**state, "rates": {**state["rates"], tool: [start, calls + 1, due]}}


def is_open(state: Json, tool: str, at: Moment, rules: GatingRules) -> bool:
    """Whether the breaker stops a call: it opened less than `open_s` ago, or its probe is under way."""
    _, opened, probe = state["circuits"].get(tool, (0, None, None))
    waits = [since for since in (opened, probe) if since is not None]
    return any(elapsed_us(since, at) < micros(rules.circuit.open_s) for since in waits)


def probing(state: Json, tool: str, at: Moment) -> Json:
    """The state after an allowed call: under a breaker that had opened, it is the probe."""
    failures, opened, _ = state["circuits"].get(tool, (0, None, None))
    if opened is None:
        return state
    return {**state, "circuits": {**state["circuits"], tool: [failures, opened, at]}}


def learnt(state: Json, result: ToolResult, at: Moment, rules: GatingRules) -> Json:
    """The state after a result. While a breaker is open only its probe's result counts: others began before it."""
    tool, circuits = result.tool, state["circuits"]
    failures, opened, probe = circuits.get(tool, (0, None, None))
    if opened is not None and probe is None:
        return state
    if result.status == "ok":
        return state if tool not in circuits else {**state, "circuits": without(circuits, tool)}
    failures = min(failures + 1, rules.circuit.failures)
    if failures >= rules.circuit.failures:
        opened = at
    return {**state, "circuits": {**circuits, tool: [failures, opened, None]}}


def _window(state: Json, tool: str, at: Moment, rules: GatingRules) -> tuple[int, int, int | None]:
    """Start, count and due time of the window in force; of a new one where the last has run out."""
    clock, length = micros(at[0]), micros(rules.rate_limits.of(tool).window_s)
    broker = None if at[1] is None else micros(at[1])
    start, calls, due = (*state["rates"].get(tool, (clock - length, 0, None)), None)[:3]
    if clock - start < length or (due is not None and broker is not None and due > broker + rules.burst * length):
        return start, calls, due
    return clock, 0, None if broker is None else max(due or broker, broker) + length
