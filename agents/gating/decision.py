"""The decision on one call: the reasons in their order, the first that holds is the one (rules, section 4)."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from endocrine.schemas.vocabulary import Reason, Refusal, Tool

Standing = Literal["open", "closed", "unknown"]
"""What a turn is to the gate: open, recently closed, or never seen opened."""

INCIDENTS: frozenset[str] = frozenset({"unknown_tool", "disabled_by_flag", "not_in_allowlist"})
"""Reasons that are incidents: what was asked for was never offered. They tighten the turn."""


class Case(NamedTuple):
    """All that the decision on one call depends on."""

    turn: Standing
    tool: Tool | None
    """Canonical name; None where the registry has no function of exactly that name."""
    flag_on: bool
    """False where the tool hangs on a flag that is off."""
    allowlist: Sequence[str]
    """Canonical names in force for the turn, cut if it was cut."""
    valid: bool
    """Whether the arguments fit the tool's JSON Schema."""
    step: int
    """Model step that asked, from 1."""
    step_limit: int
    refusal: Refusal | None
    """Why the turn was not admitted; None where it was. Calls of a turn that is held are not decided."""
    over_rate: bool = False
    """The identity has had its calls of this tool for now."""
    circuit_open: bool = False
    """The tool failed this identity too often in a row."""
    conflicting: bool = False
    """Another call with other content was taken under its id before."""
    stale: bool = False
    """It was appended too long after its `ts`."""


_REASONS: tuple[tuple[Reason, Callable[[Case], bool]], ...] = (
    ("conflicting_call", lambda case: case.conflicting),
    ("stale_call", lambda case: case.stale),
    ("unknown_turn", lambda case: case.turn == "unknown"),
    ("turn_closed", lambda case: case.turn == "closed"),
    ("unknown_tool", lambda case: case.tool is None),
    ("disabled_by_flag", lambda case: not case.flag_on),
    ("not_in_allowlist", lambda case: case.tool not in case.allowlist),
    ("invalid_arguments", lambda case: not case.valid),
    ("step_limit", lambda case: case.step > case.step_limit),
    ("rate_limited", lambda case: case.over_rate or case.refusal == "rate_limited"),
    ("circuit_open", lambda case: case.circuit_open),
    ("budget_exceeded", lambda case: case.refusal == "budget_exceeded"),
    ("approval_denied", lambda case: case.refusal == "denied"),
    ("approval_expired", lambda case: case.refusal == "hold_expired"),
)


def why_denied(case: Case) -> Reason | None:
    """Return the one reason why a call is denied; None: it is allowed, once a person agrees where one must."""
    return next((reason for reason, holds in _REASONS if holds(case)), None)
