"""The style table: the sums of the last cards of one identity (rules, section 3)."""

from collections.abc import Sequence
from math import fsum
from typing import Any, NamedTuple, get_args

from endocrine.agents.feedback.rules import FeedbackRules, Nudge
from endocrine.schemas.vocabulary import Intent

INTENTS: tuple[str, ...] = get_args(Intent)


class Nudges(NamedTuple):
    """The four nudges, each within its bounds."""

    temperature_delta: float
    top_p_delta: float
    memory_write_boost: float
    verbosity_bias: float


def nudges(newest_first: Sequence[int], rules: FeedbackRules) -> Nudges:
    """Return the nudges of ratings (1 to 5); without ratings all are 0.

    d is the weighted mean of `rating - neutral`, the card with i newer ones weighing `decay ** i`, in stars.
    """
    weights = [rules.decay**i for i in range(len(newest_first))]
    # fsum, not sum: its result is the same on every version of Python, and replay compares bytes
    pull = fsum((rating - rules.neutral_rating) * w for rating, w in zip(newest_first, weights, strict=True))
    d = pull / fsum(weights) if weights else 0.0
    return Nudges(
        temperature_delta=_clamp(d, rules.temperature),
        top_p_delta=_clamp(d, rules.top_p),
        memory_write_boost=_clamp(max(0.0, d), rules.memory_write),
        verbosity_bias=_clamp(d, rules.verbosity),
    )


def count_intents(symbols: Sequence[str]) -> dict[str, int]:
    """Return how often each intent occurs; intents that do not are left out."""
    return {intent: symbols.count(intent) for intent in INTENTS if intent in symbols}


def sum_intents(counts: Sequence[dict[str, int]]) -> dict[str, Any]:
    """Return all five intents with their sums, in the order of the schema."""
    return {intent: sum(count.get(intent, 0) for count in counts) for intent in INTENTS}


def _clamp(d: float, nudge: Nudge) -> float:
    return min(nudge.high, max(nudge.low, nudge.gain * d))
