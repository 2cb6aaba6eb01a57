"""Counting labelled events over a window of time, in bounded memory. All functions return new values.

An event counts by the clock it names: see `endocrine.agents.analytics.agent`.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from endocrine.agents.analytics.rules import AnalyticsRules

Clocks = Mapping[str, float]
"""Seconds by name of a clock."""
Row = list[Any]
"""A JSON array with the fields of `Event`."""


class Event(NamedTuple):
    """Something that counts."""

    ts: float
    """Seconds."""
    label: str
    duration_ms: float | None
    whose: str
    """Name of its clock."""


_TS, _LABEL, _DURATION_MS, _WHOSE = range(4)
"""Places of an `Event`'s fields: a window is gone through for each record, and to make events of its rows took most of
what this agent costs."""


class Window(TypedDict):
    """Events of one tool, or of all turns."""

    recent: list[Row]
    """The last `Event`s in order of arrival, at most `kept`."""
    older: dict[str, dict[str, int]]
    """Counts by label of events beyond those, by `bucket number/clock name`."""


class AnalyticsState(TypedDict):
    """The state of one partition."""

    clocks: dict[str, float]
    tools: dict[str, Window]
    turns: Window | None


def added(window: Window | None, event: Event, clocks: Clocks, rules: AnalyticsRules) -> Window:
    """Return the window with one more event, without what is over."""
    window = pruned(window, clocks, rules)
    if event.ts < clocks[event.whose] - rules.window_s:
        return window
    recent, older = [*window["recent"], list(event)], dict(window["older"])
    for moved in (Event(*row) for row in recent[: -rules.kept]):
        bucket = f"{math.floor(moved.ts / rules.bucket_s)}/{moved.whose}"
        counts = older.get(bucket, {})
        older[bucket] = {**counts, moved.label: counts.get(moved.label, 0) + 1}
    return {"recent": recent[-rules.kept :], "older": older}


def pruned(window: Window | None, clocks: Clocks, rules: AnalyticsRules) -> Window:
    """Return the window without what is over: an event counts from its time until window_s after it, inclusive.

    What has no clock any more is over, too.
    """
    if window is None:
        return {"recent": [], "older": {}}
    oldest = {whose: clock - rules.window_s for whose, clock in clocks.items()}
    older = {}
    for bucket, counts in window["older"].items():
        number, _, whose = bucket.partition("/")
        if (int(number) + 1) * rules.bucket_s > oldest.get(whose, math.inf):
            older[bucket] = counts
    never = math.inf
    recent = [row for row in window["recent"] if row[_TS] >= oldest.get(row[_WHOSE], never)]
    return {"recent": recent, "older": older}


def counts(window: Window) -> Counter[str]:
    """Return the number of events by label."""
    total = Counter([row[_LABEL] for row in window["recent"]])
    for held in window["older"].values():
        total.update(held)
    return total


def percentiles(window: Window, *shares: float) -> list[float | None]:
    """Return `sorted[max(0, int(q * n) - 1)]` of the milliseconds (rules, section 4) for each share q; None where there
    are none."""
    durations = sorted([row[_DURATION_MS] for row in window["recent"] if row[_DURATION_MS] is not None])
    return [durations[max(0, int(q * len(durations)) - 1)] if durations else None for q in shares]
