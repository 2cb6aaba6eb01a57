"""Counting labelled events over a window of event time, in bounded memory. All functions return new values.

window: {recent, older}
        recent: [[ts, label, milliseconds or null]]  the last events as they came, at most `kept`
        older:  {bucket number: {label: count}}      what had to make room for them
"""

import math
from collections import Counter
from typing import Any

from agents.analytics.rules import AnalyticsRules

Json = dict[str, Any]


def added(window: Json | None, event: tuple[float, str, float | None], now: float, rules: AnalyticsRules) -> Json:
    """The window with one more event, without what is over by `now`."""
    window = pruned(window, now, rules)
    if event[0] < now - rules.window_s:
        return window
    recent, older = [*window["recent"], list(event)], dict(window["older"])
    for ts, label, _ in recent[: -rules.kept]:
        bucket = str(math.floor(ts / rules.bucket_s))
        counts = older.get(bucket, {})
        older[bucket] = {**counts, label: counts.get(label, 0) + 1}
    return {"recent": recent[-rules.kept :], "older": older}


def pruned(window: Json | None, now: float, rules: AnalyticsRules) -> Json:
    """The window without what is over by `now`: an event counts from its time until window_s after it, inclusive."""
    if window is None:
        return {"recent": [], "older": {}}
    oldest = now - rules.window_s
    return {
        "recent": [event for event in window["recent"] if event[0] >= oldest],
        "older": {
            bucket: counts for bucket, counts in window["older"].items() if (int(bucket) + 1) * rules.bucket_s > oldest
        },
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
