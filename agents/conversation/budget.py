"""Tokens per identity and window: held before a request, settled after it, never above the limit.

A byte-level tokenizer never makes more tokens than a text has UTF-8 bytes. So the bytes of messages and functions as
JSON, what the provider adds per message, and the bound on the answer together are no less than what a call can cost.
What is held counts as spent until the reply says what it was; where no reply says so, it stays spent. The window
begins with its first request and ends after `window_s`; what is held then counts in the next window.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from endocrine.agents.conversation.rules import BudgetRules

START: Mapping[str, Any] = {"start": None, "spent": 0, "held": 0}


class Room(NamedTuple):
    """What a budget leaves."""

    free: int
    """Tokens up to the limit."""
    soft: int
    """Tokens up to the soft share; below 0 where it is passed."""


def prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], rules: BudgetRules) -> int:
    """An upper bound on the tokens of a prompt (with `bytes_per_token: 1`)."""
    size = len(orjson.dumps(messages)) + len(orjson.dumps(tools))
    return -(-size // rules.bytes_per_token) + rules.message_tokens * (len(messages) + len(tools) + 1)


def rolled(budget: Mapping[str, Any], now: float, rules: BudgetRules) -> dict[str, Any]:
    """The budget at a moment of event time: of the window that is then running."""
    start = budget["start"]
    if start is None or now >= start + rules.window_s:
        return {"start": now, "spent": 0, "held": budget["held"]}
    return dict(budget)


def room(budget: Mapping[str, Any], rules: BudgetRules) -> Room:
    """What may still be held."""
    used = budget["spent"] + budget["held"]
    return Room(rules.limit - used, int(rules.limit * rules.soft_share) - used)


def hold(budget: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """Tokens set aside for a request; the caller has looked at `room`."""
    return {**budget, "held": budget["held"] + tokens}


def settle(budget: Mapping[str, Any], held: int, used: int | None) -> dict[str, Any]:
    """A request is over. used: None where nobody knows: then all that was held is spent."""
    return {**budget, "held": budget["held"] - held, "spent": budget["spent"] + (held if used is None else used)}
