"""Counting labelled events over a window of time, in bounded memory. All functions return new values.

window: {recent, older}
        recent: [[ts, label, milliseconds or null, whose]]  the last events as they came, at most `kept`
        older:  {"bucket number/whose": {label: count}}     what had to make room for them
clocks: {whose: seconds}  the clock that an event is held against, by whose time it is: see agents.analytics.agent
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from endocrine.agents.analytics.rules import AnalyticsRules

Json = dict[str, Any]
Clocks = Mapping[str, float]


class Event(NamedTuple):
    """Something that counts."""

    ts: float
    """Seconds."""
    label: str
    duration_ms: float | None
    whose: str
    """Name of its clock."""


def added(window: Json | None, event: Event, clocks: Clocks, rules: AnalyticsRules) -> Json:
    """The window with one more event, without what is over."""
    window = pruned(window, clocks, rules)
    if event.ts < clocks[event.whose] - rules.window_s:
        return window
    recent, older = [*window["recent"], list(event)], dict(window["older"])
    for ts, label, _, whose in recent[: -rules.kept]:
        bucket = f"{math.floor(ts / rules.bucket_s)}/{whose}"
        counts = older.get(bucket, {})
        older[bucket] = {**counts, label: counts.get(label, 0) + 1}
    return {"recent": recent[-rules.kept :], "older": older}


def pruned(window: Json | None, clocks: Clocks, rules: AnalyticsRules) -> Json:
    """The window without what is over: an event counts from its time until window_s after it, inclusive.

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
    return {
        "recent": [event for event in window["recent"] if event[0] >= oldest.get(event[3], math.inf)],
        "older": older,
    }


def counts(window: Json) -> Counter[str]:
    """Events by label."""
    total = Counter(event[1] for event in window["recent"])
    for held in window["older"].values():
        total.update(held)
    return total


def percentile(window: Json, q: float) -> float | None:
    """`sorted[max(0, int(q * n) - 1)]` of the milliseconds held (rules, section 4); None where there are none."""
    durations = sorted(event[2] for event in window["recent"] if event[2] is not None)
    return durations[max(0, int(q * len(durations)) - 1)] if durations else None
