"""What the feedback cards of two subjects are together (memory, section 2)."""

from collections.abc import Iterable
from typing import cast

from endocrine.agents._shared.moving import Move, merged_rows
from endocrine.agents.contract import Erased, Output, State
from endocrine.agents.feedback.agent import style_table
from endocrine.agents.feedback.memory import EMPTY, Card, DivergingCard, FeedbackState, Row


def merge(old: State, state: State, move: Move) -> tuple[FeedbackState, list[Output]]:
    """Return the cards of both, the latest; locked where either is. Output: the style table."""
    moved = cast(FeedbackState, {**EMPTY, **old})
    known = cast(FeedbackState, {**EMPTY, **({} if state is None else state)})
    rules = move.policy.document.feedback
    diverging, _ = merged_cards(moved["diverging"], known["diverging"], rules.drift.cards_kept)
    cards, _ = merged_cards(moved["cards"], known["cards"], rules.cards_kept)
    clocks = [clock for one in (moved, known) if (clock := one.get("clock")) is not None]
    after: FeedbackState = {
        "cards": cards,
        "diverging": diverging,
        "turns": dict(list({**moved["turns"], **known["turns"]}.items())[-rules.turns_kept :]),
        "locked": bool(moved["locked"] or known["locked"]),
        "releases": [*moved["releases"], *known["releases"]][-rules.commands_remembered :],
        "clock": max(clocks, default=None),
    }
    return after, [style_table(after, move.trigger, move.policy)]


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the style table."""
    return [Output("style-tables", subject, Erased())]


def merged_cards(old: list[Row], new: list[Row], most: int) -> tuple[list[Row], list[Row]]:
    """Return the rows of two lists by event time, equal times old first, one of each key: those kept, those dropped."""
    at, name = Card._fields.index("ts"), Card._fields.index("key")
    assert DivergingCard._fields[:2] == Card._fields[:2]
    keys = {row[name] for row in new}
    rows = merged_rows([row for row in old if row[name] not in keys], new, at)
    start = max(0, len(rows) - most)
    return rows[start:], rows[:start]
