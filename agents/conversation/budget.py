"""Tokens per identity and window: reserved before a request, settled after it, never above the limit.

A byte-level tokenizer never makes more tokens than a text has UTF-8 bytes. So the bytes of messages and functions as
JSON, what the provider adds per message, and the bound on the answer together are no less than what a call can cost.
What is reserved counts as spent until the reply says what it was; where no reply says so, it stays spent. The window
begins with its first request and ends after `window_s`; what is reserved then counts in the next window.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from endocrine.agents.conversation.images import images_in
from endocrine.agents.conversation.rules import BudgetRules
from endocrine.agents.conversation.state import Budget


class TokensLeft(NamedTuple):
    """Tokens that may still be reserved."""

    free: int
    """Tokens up to the limit."""
    soft: int
    """Tokens up to the soft share; below 0 where it is passed."""


def prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], rules: BudgetRules) -> int:
    """Return an upper bound on the tokens of a prompt (with `bytes_per_token: 1`); of its images, an estimate."""
    size = len(orjson.dumps(messages)) + len(orjson.dumps(tools))
    beside = rules.message_tokens * (len(messages) + len(tools) + 1) + rules.image_tokens * len(images_in(messages))
    return -(-size // rules.bytes_per_token) + beside


def rolled(budget: Budget, now: float, rules: BudgetRules) -> Budget:
    """Return the budget at an event time, seconds: of the window that is then running."""
    start = budget["start"]
    if start is None or now >= start + rules.window_s:
        return {"start": now, "spent": 0, "held": budget["held"]}
    return {**budget}


def tokens_left(budget: Budget, rules: BudgetRules) -> TokensLeft:
    """Return the tokens that may still be reserved."""
    used = budget["spent"] + budget["held"]
    return TokensLeft(rules.limit - used, int(rules.limit * rules.soft_share) - used)


def reserve(budget: Budget, tokens: int) -> Budget:
    """Return the budget with tokens reserved for a request; the caller has looked at `tokens_left`."""
    return {**budget, "held": budget["held"] + tokens}


def settle(budget: Budget, held: int, used: int | None) -> Budget:
    """Return the budget after a request. used: tokens; None where nobody knows: then all that was reserved is spent."""
    return {**budget, "held": budget["held"] - held, "spent": budget["spent"] + (held if used is None else used)}
