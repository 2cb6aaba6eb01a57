"""The three mergers: (state, current value, confidence) of a series. Pure, total, never NaN or infinite."""

from collections.abc import Sequence
from itertools import pairwise
from math import hypot, inf, sqrt
from typing import Any

from endocrine.agents.attribution.rules import AttributionRules, HashRules
from endocrine.schemas.vocabulary import AttributionState

Verdict = tuple[AttributionState, Any, float]
"""State, current value, confidence 0..1."""

SQUARABLE = 1e-280
"""Sums of squares below this have lost digits to underflow: the spread is then taken by scaled arithmetic instead."""


def merge_categorical(labels: Sequence[Any], rules: AttributionRules) -> Verdict:
    """Judge the last labels, oldest first: the majority of `recent`, and whether it was that of `older` too."""
    last = labels[-1]
    if len(labels) < rules.least:
        return "unknown", last, 0.0
    window, required = rules.window, rules.categorical.majority
    recent = labels[-window:]
    size = len(recent)
    same = recent.count(last)
    if same == size:
        top, most = last, same
    elif 2 * same > size:  # no other label has as many
        top, most = recent[recent.index(last)], same
    else:
        top, most = _top(recent)
    if most < required and most < size:
        return _disagreement(recent, most / size, rules)
    older = labels[-2 * window : -window]
    if older and (kept := older.count(top)) < required and kept < len(older):
        return "drifting", top, most / size
    return "stable", top, most / size


def _top(labels: Sequence[Any]) -> tuple[Any, int]:
    top = max(labels, key=labels.count)
    return top, labels.count(top)


def _disagreement(recent: Sequence[Any], share: float, rules: AttributionRules) -> Verdict:
    """No majority: two labels in turn suggest two hands; anything else is a conflict."""
    last = recent[-1]
    chosen = rules.categorical
    if len(recent) >= chosen.alternating_least:
        other = next(label for label in recent if label != last)
        if recent.count(last) + recent.count(other) == len(recent):
            flips = sum(1 for before, after in pairwise(recent) if before != after)
            repeats = len(recent) - 1 - flips
            if flips >= chosen.flips_per_repeat * max(repeats, 1):
                return "multi_actor", last, min(share, chosen.multi_actor_confidence)
    return "conflicted", last, share


def merge_numeric(numbers: Sequence[float], rules: AttributionRules) -> Verdict:
    """Judge the last numbers, oldest first: their spread around the weighted mean, then the shift of that mean."""
    if len(numbers) < rules.least:
        return "unknown", numbers[-1], 0.0
    chosen, window = rules.numeric, rules.window
    recent = numbers[-window:]
    mean = weighted_mean(recent, chosen.alpha)
    variation = _variation(recent, mean)
    if variation > chosen.conflicted_above:
        return "conflicted", mean, chosen.conflicted_confidence
    confidence = 1.0 - variation if variation < 1.0 else 0.0
    older = numbers[-2 * window : -window]
    if older:
        before = weighted_mean(older, chosen.alpha)
        if abs(mean - before) / (abs(before) or 1.0) >= chosen.drifting_from:
            return "drifting", mean, confidence
    return "stable", mean, confidence


def weighted_mean(numbers: Sequence[float], alpha: float) -> float:
    """Return the exponentially weighted mean, oldest first, started at the oldest.

    Between the least and the greatest of them, up to rounding; never infinite: alpha * M + (1 - alpha) * M does not
    round past M, the largest double.

    >>> weighted_mean([10.0, 20.0], 0.3)
    13.0
    """
    mean = numbers[0]
    keep = 1.0 - alpha
    for value in numbers[1:]:
        mean = alpha * value + keep * mean
    return mean


def _variation(numbers: Sequence[float], mean: float) -> float:
    """Coefficient of variation, 0 or more: population standard deviation around `mean` over |mean|."""
    total = 0.0
    for value in numbers:
        off = value - mean
        total += off * off
    spread = sqrt(total / len(numbers))
    if not SQUARABLE < total < inf:
        spread = hypot(*[value - mean for value in numbers]) / sqrt(len(numbers))
    if spread == 0.0:
        return 0.0
    return spread / abs(mean) if mean else inf


def merge_hash(hashes: Sequence[str], rules: HashRules) -> Verdict:
    """Judge the distinct hashes inside the window, latest last: each beyond the first is one rotation."""
    rotations = len(hashes) - 1
    confidence = 1.0 / (1 + rotations)
    if rotations == 0:
        return "stable", hashes[-1], confidence
    return "drifting" if rotations <= rules.drifting_rotations else "conflicted", hashes[-1], confidence
