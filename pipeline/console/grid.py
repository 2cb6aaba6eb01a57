"""The attribution grid: primitives by state, with how the confidence went as a small curve. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
STATES = ("multi_actor", "conflicted", "drifting", "stable", "unknown")
"""In the order of the grid: what asks for a look comes first."""
POINTS = 40
"""States of one primitive that its curve shows."""
WIDTH, HEIGHT, MARGIN = 100, 20, 2


@dataclass(frozen=True)
class Curve:
    """A curve as SVG takes it, in a box of WIDTH by HEIGHT, and in words for who does not see it."""

    points: str
    words: str


def curve_of(confidences: list[float]) -> Curve | None:
    """Return the curve of confidences, oldest first, each 0 to 1; None without any.

    >>> curve_of([0.0, 1.0])
    Curve(points='0,18 100,2', words='confidence over 2 observations: first 0.00, lowest 0.00, highest 1.00, last 1.00')
    """
    if not confidences:
        return None
    shown = confidences if len(confidences) > 1 else confidences * 2
    step = WIDTH / (len(shown) - 1)
    span = HEIGHT - 2 * MARGIN
    points = " ".join(f"{place * step:.4g},{MARGIN + span * (1 - one):.4g}" for place, one in enumerate(shown))
    first, last, low, high = confidences[0], confidences[-1], min(confidences), max(confidences)
    words = f"first {first:.2f}, lowest {low:.2f}, highest {high:.2f}, last {last:.2f}"
    return Curve(points, f"confidence over {len(confidences)} observations: {words}")


def curves_of(states: Iterable[Json]) -> dict[tuple[str, str], Curve]:
    """Return the curves by identity and primitive. states: records of `attribution-states`, newest first."""
    series: dict[tuple[str, str], list[float]] = {}
    for one in states:
        found = series.setdefault((one["identity"], one["primitive"]), [])
        if len(found) < POINTS:
            found.append(one["confidence"])
    return {place: curve for place, found in series.items() if (curve := curve_of(found[::-1])) is not None}


def grid_of(
    attribution: Mapping[str, Mapping[str, Json]], curves: Mapping[tuple[str, str], Curve]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the rows by state, states without a primitive left out. attribution: identity to primitive to state."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for identity, states in attribution.items():
        for primitive, one in states.items():
            row = {**one, "identity": identity, "primitive": primitive, "curve": curves.get((identity, primitive))}
            rows.setdefault(one["state"], []).append(row)
    others = sorted(rows.keys() - set(STATES))
    return [(state, rows[state]) for state in (*STATES, *others) if state in rows]
