"""What calls cost: tokens, money, time, by model."""

from dataclasses import dataclass, field
from typing import Any

from endocrine.agents.conversation.capabilities import Price
from endocrine.pipeline.connectors.model.outcome import Outcome

_PER = 1_000_000
"""Prices are per million tokens."""


def cost(price: Price | None, outcome: Outcome) -> float | None:
    """Return the US dollars of a reply; None where the price or the usage is not known."""
    if price is None or outcome.input_tokens is None or outcome.output_tokens is None:
        return None
    cached = min(outcome.cached_tokens, outcome.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    whole = (outcome.input_tokens - cached) * price.input + cached * cached_price + outcome.output_tokens * price.output
    return whole / _PER


@dataclass
class Sum:
    """Of one model, since the connector started."""

    replies: dict[str, int] = field(default_factory=dict)
    """By status."""
    tries: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    latency_ms: float = 0.0
    """Of all replies together."""


class Account:
    """Sums by model."""

    def __init__(self) -> None:
        self.models: dict[str, Sum] = {}

    def add(
        self, model: str, status: str, tries: int, latency_ms: float, outcome: Outcome | None, paid: float | None
    ) -> None:
        """Count one reply."""
        one = self.models.setdefault(model, Sum())
        one.replies[status] = one.replies.get(status, 0) + 1
        one.tries += tries
        one.latency_ms += latency_ms
        if outcome is not None:
            one.input_tokens += outcome.input_tokens or 0
            one.cached_tokens += outcome.cached_tokens
            one.output_tokens += outcome.output_tokens or 0
        one.dollars += paid or 0.0

    def as_log_fields(self) -> dict[str, Any]:
        """Return sums by model, for a log line; money in US dollars."""
        return {
            model: {
                **one.replies,
                "tries": one.tries,
                "input_tokens": one.input_tokens,
                "cached_tokens": one.cached_tokens,
                "output_tokens": one.output_tokens,
                "dollars": round(one.dollars, 6),
                "mean_latency_ms": round(one.latency_ms / max(1, sum(one.replies.values())), 1),
            }
            for model, one in self.models.items()
        }
