"""Rate limits and breakers per (identity, tool). All functions return new values.

A new window begins when the identity's clock says that the last one has run out. That clock is claimed, so the broker's
holds it: no more windows begin than have gone by on it, and `burst` ahead of them (rules, section 10).

A breaker here sees one identity's results, because that is what state under one key can hold. A service that is down
for everybody is the connector's breaker to notice: it answers `error` at once, which this one counts.
"""

from typing import NamedTuple

from endocrine.agents.gating.memory import GatingState, Moment, without
from endocrine.agents.gating.moments import elapsed_us, micros
from endocrine.agents.gating.rules import GatingRules
from endocrine.schemas.tools import ToolResult


class Rate(NamedTuple):
    """The window of one tool's rate limit."""

    start_us: int
    """Microseconds by the identity's clock."""
    calls: int
    due_us: int | None = None
    """When the next window is due, microseconds by the broker's clock; null without one."""


class Circuit(NamedTuple):
    """The breaker of one tool."""

    failures: int = 0
    """Failed results in a row."""
    opened: Moment | float | None = None
    probe: Moment | float | None = None


def over_rate(state: GatingState, tool: str, at: Moment, rules: GatingRules) -> bool:
    """Return whether one more call of the tool is above its limit."""
    return _window(state, tool, at, rules).calls >= rules.rate_limits.of(tool).calls


def counted(state: GatingState, tool: str, at: Moment, rules: GatingRules) -> GatingState:
    """Return the state after one more call of the tool."""
    window = _window(state, tool, at, rules)
    return {**state, "rates": {**state["rates"], tool: list(window._replace(calls=window.calls + 1))}}


def is_open(state: GatingState, tool: str, at: Moment, rules: GatingRules) -> bool:
    """Return whether the breaker stops a call: it opened less than `open_s` ago, or its probe is under way."""
    circuit = Circuit(*state["circuits"].get(tool, ()))
    waits = [since for since in (circuit.opened, circuit.probe) if since is not None]
    return any(elapsed_us(since, at) < micros(rules.circuit.open_s) for since in waits)


def probing(state: GatingState, tool: str, at: Moment) -> GatingState:
    """Return the state after an allowed call: under a breaker that had opened, it is the probe."""
    circuit = Circuit(*state["circuits"].get(tool, ()))
    if circuit.opened is None:
        return state
    return {**state, "circuits": {**state["circuits"], tool: list(circuit._replace(probe=at))}}


def learnt(state: GatingState, result: ToolResult, at: Moment, rules: GatingRules) -> GatingState:
    """Return the state after a result. Under an open breaker only its probe's result counts: others began before it."""
    tool, circuits = result.tool, state["circuits"]
    failures, opened, probe = Circuit(*circuits.get(tool, ()))
    if opened is not None and probe is None:
        return state
    if result.status == "ok":
        return state if tool not in circuits else {**state, "circuits": without(circuits, tool)}
    failures = min(failures + 1, rules.circuit.failures)
    if failures >= rules.circuit.failures:
        opened = at
    return {**state, "circuits": {**circuits, tool: list(Circuit(failures, opened))}}


def _window(state: GatingState, tool: str, at: Moment, rules: GatingRules) -> Rate:
    """Return the window in force; a new one where the last has run out."""
    by_clock, appended = at
    clock, length = micros(by_clock), micros(rules.rate_limits.of(tool).window_s)
    broker = None if appended is None else micros(appended)
    known = state["rates"].get(tool)
    window = Rate(clock - length, 0) if known is None else Rate(*known)
    due = window.due_us
    if clock - window.start_us < length or (
        due is not None and broker is not None and due > broker + rules.burst * length
    ):
        return window
    return Rate(clock, 0, None if broker is None else max(due or broker, broker) + length)
