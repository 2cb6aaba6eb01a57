"""The analytics agent: results, denials and turns in, one `tool-analytics` record per result or denial out.

A tool is nobody's own, and state lies with a partition: the state key is one and the same for all records, so each
partition keeps the figures of the identities that live there, and produces them under the key of the tool. A reader who
wants the whole takes the latest record of each partition and adds up count, ok, error, blocked and modes; percentiles
do not add, their greatest is an upper bound (docs/tools.md).

It is the one agent whose key is coarser than the identity. That is sound because nothing is decided from it, and
state never moves between partitions. What one identity claims in `ts` moves nobody else's figures (rules, section 10):
an event counts from its append time; where it has none (`simulate`), each identity has a clock of its own. A record's
`ts` is that of what it follows from.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from endocrine.agents._shared.clock import forward
from endocrine.agents.analytics import window
from endocrine.agents.analytics.rules import AnalyticsRules
from endocrine.agents.analytics.window import AnalyticsState, Event, Window
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.modulations import Modulation
from endocrine.schemas.tools import ToolDecision, ToolResult

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

KEY = "tools"
_APPENDED = ""
"""Name of the broker's clock; no identity is empty."""
_MODES = ("strict", "balanced", "creative")


@dataclass(frozen=True)
class Analytics:
    """State: `endocrine.agents.analytics.window.AnalyticsState`."""

    name: str = "analytics"
    sources: tuple[str, ...] = ("modulations", "tool-decisions", "tool-results")
    targets: tuple[str, ...] = ("tool-analytics",)

    def key(self, trigger: Trigger) -> str:
        """Return one key per partition."""
        return KEY

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Count the event; produce nothing while the flag TOOL_ANALYTICS is off."""
        document, rules = policy.document, policy.document.analytics
        event = _event(trigger.value) if document.flags.TOOL_ANALYTICS else None
        if event is None:
            return state, []
        tool, ts, label, duration = event
        if tool is not None and tool not in document.tools.names:
            return state, []
        known: AnalyticsState = {"clocks": {}, "tools": {}, "turns": None}
        if state is not None and "clocks" in state:
            known = state
        whose, now = (_APPENDED, trigger.appended) if trigger.appended is not None else (trigger.identity, ts)
        clocks = _moved(known["clocks"], whose, now, rules)
        one = Event(now, label, duration, whose)
        if tool is None:
            counted_turn: AnalyticsState = {
                **known,
                "clocks": clocks,
                "turns": window.added(known["turns"], one, clocks, rules),
            }
            return counted_turn, []
        figures = window.added(known["tools"].get(tool), one, clocks, rules)
        after: AnalyticsState = {**known, "clocks": clocks, "tools": {**known["tools"], tool: figures}}
        counted, turns = window.counts(figures), window.counts(window.pruned(known["turns"], clocks, rules))
        value = _record(tool, rules.window_s, counted, turns, figures, ts)
        return after, [Output("tool-analytics", trigger.identity, value)]


AGENT = Analytics()


def produced(state: State, trigger: Trigger, policy: "Policy") -> list[Output]:
    """Return a record of each tool in a state, as its figures are by the clocks that are there."""
    known, rules = cast(AnalyticsState, state), policy.document.analytics
    if "clocks" not in known:
        return []
    turns = window.counts(window.pruned(known["turns"], known["clocks"], rules))
    found = []
    for tool, whole in sorted(known["tools"].items()):
        figures = window.pruned(whole, known["clocks"], rules)
        value = _record(tool, rules.window_s, window.counts(figures), turns, figures, trigger.value.ts)
        found.append(Output("tool-analytics", trigger.identity, value))
    return found


def _moved(clocks: window.Clocks, whose: str, now: float, rules: AnalyticsRules) -> dict[str, float]:
    """The clocks with one moved on and put last; the first one goes where they become too many."""
    others = {name: clock for name, clock in clocks.items() if name != whose}
    kept = list(others.items())[max(0, len(others) + 1 - rules.clocks) :]
    return {**dict(kept), whose: forward(clocks.get(whose), now)}


def _event(value: ToolResult | ToolDecision | Modulation) -> tuple[str | None, float, str, float | None] | None:
    """(tool or None for a turn, ts, label, milliseconds) of what counts; None of what does not.

    A turn counts once, in the mode it began in: with its first modulation. A timeout is an error.
    """
    if isinstance(value, ToolResult):
        if value.runner is not None:
            return None  # an application's own function, whatever it is called
        return value.tool, value.ts, "ok" if value.status == "ok" else "error", value.duration_ms
    if isinstance(value, ToolDecision):
        return (value.tool, value.ts, "blocked", None) if value.decision == "denied" and value.tool else None
    return (None, value.ts, value.mode, None) if value.revision == 0 else None


def _record(
    tool: str, window_s: float, counted: Counter[str], turns: Counter[str], figures: Window, ts: float
) -> dict[str, Any]:
    p50, p95 = window.percentiles(figures, 0.50, 0.95)
    return {
        "tool": tool,
        "window_s": window_s,
        "count": counted["ok"] + counted["error"],
        "ok": counted["ok"],
        "error": counted["error"],
        "blocked": counted["blocked"],
        "p50_ms": p50,
        "p95_ms": p95,
        "modes": {mode: turns[mode] for mode in _MODES},
        "ts": ts,
    }
