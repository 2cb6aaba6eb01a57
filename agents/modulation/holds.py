"""Held turns: a turn of high alignment_risk waits for a person (rules, section 2, `review`).

A held turn is not admitted until an operator approves it. A denial refuses it; silence does too, under a name of its
own, since nobody decided. Once approved, only a higher alignment_risk holds it again.
"""

from typing import Literal

from endocrine.agents._shared.clock import forward
from endocrine.agents.contract import Reject
from endocrine.agents.modulation.memory import Memory, Turn, micros
from endocrine.agents.modulation.rules import ReviewRules

HELD = "held"


def hold(turn: Turn, risk: float, memory: Memory, ts: float, rules: ReviewRules) -> None:
    """Hold an admitted turn where its alignment_risk is high enough. ts: event time of the record at hand."""
    if rules.hold_at is None or risk < rules.hold_at or turn.refusal is not None:
        return
    if turn.approved is not None and risk <= turn.approved:
        return
    turn.admitted, turn.refusal = False, HELD
    turn.expires = forward(memory.clocks.get("turns"), ts) + rules.hold_s


def approve(turn: Turn, risk: float, by: str) -> None:
    """Let a held turn go on, strict."""
    turn.admitted, turn.refusal, turn.expires = True, None, None
    turn.approved, turn.approved_by = risk, by


def refuse(turn: Turn, refusal: Literal["denied", "hold_expired"]) -> None:
    """End a held turn's waiting without admitting it."""
    turn.refusal, turn.expires = refusal, None


def overdue(turn: Turn, ts: float) -> bool:
    """Return whether a held turn's waiting is over at an event time."""
    return turn.expires is not None and micros(ts) >= micros(turn.expires)


def held_turn(memory: Memory, audit_id: str, kind: str) -> Turn:
    """Return the held turn that a command names. Raises Reject (`not_held`) where it does not wait for a person."""
    turn = memory.turns.get(audit_id)
    if turn is not None and turn.refusal == HELD:
        return turn
    if turn is None:
        known = memory.known_content(audit_id) is not None
        why = "is closed" if known else "is not an open turn of this identity"
    else:
        why = "is admitted" if turn.refusal is None else f"is refused ({turn.refusal})"
    raise Reject(
        "not_held",
        f"audit_id: turn {audit_id!r} {why}, so {kind} has nothing to answer;"
        " expected a turn whose latest modulation has refusal 'held'",
    )
