"""Rate limits and breakers per (identity, tool), in event time. All functions return new values.

rates:    {tool: [start of the window in microseconds, calls in it]}
circuits: {tool: [failed results in a row, event time it opened or null, event time of the probe or null]}

A breaker here sees one identity's results, because that is what state under one key can hold. A service that is down
for everybody is the connector's breaker to notice: it answers `error` at once, which this one counts.
"""

from agents.gating.memory import Json, without
from agents.gating.rules import GatingRules
from schemas.tools import ToolResult


def over_rate(state: Json, tool: str, ts: float, rules: GatingRules) -> bool:
    """Whether one more call of the tool at `ts` is above its limit."""
    return bool(_window(state, tool, ts, rules)[1] >= rules.rate_limits.of(tool).calls)


def counted(state: Json, tool: str, ts: float, rules: GatingRules) -> Json:
    """The state after one more call of the tool."""
    start, calls = _window(state, tool, ts, rules)
    return {**state, "rates": {**state["rates"], tool: [start, calls + 1]}}


def is_open(state: Json, tool: str, ts: float, rules: GatingRules) -> bool:
    """Whether the breaker stops a call at `ts`: it opened less than `open_s` ago, or its probe is under way."""
    _, opened, probe = state["circuits"].get(tool, (0, None, None))
    waits = [since for since in (opened, probe) if since is not None]
    return any(_micros(ts) < _micros(since) + _micros(rules.circuit.open_s) for since in waits)


def probing(state: Json, tool: str, ts: float) -> Json:
    """The state after an allowed call: under a breaker that had opened, it is the probe."""
    failures, opened, _ = state["circuits"].get(tool, (0, None, None))
    if opened is None:
        return state
    return {**state, "circuits": {**state["circuits"], tool: [failures, opened, ts]}}


def learnt(state: Json, result: ToolResult, rules: GatingRules) -> Json:
    """The state after a result. While a breaker is open only its probe's result counts: others began before it."""
    tool, circuits = result.tool, state["circuits"]
    failures, opened, probe = circuits.get(tool, (0, None, None))
    if opened is not None and probe is None:
        return state
    if result.status == "ok":
        return state if tool not in circuits else {**state, "circuits": without(circuits, tool)}
    failures = min(failures + 1, rules.circuit.failures)
    if failures >= rules.circuit.failures:
        opened = result.ts if opened is None else max(opened, result.ts)
    return {**state, "circuits": {**circuits, tool: [failures, opened, None]}}


def _window(state: Json, tool: str, ts: float, rules: GatingRules) -> tuple[int, int]:
    """Start and count of the window that `ts` falls into; a new one where the last has run out."""
    start, calls = state["rates"].get(tool, (_micros(ts), 0))
    if _micros(ts) - start >= _micros(rules.rate_limits.of(tool).window_s):
        return _micros(ts), 0
    return start, calls


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
