"""The parameters of a modulation: kind, widest bounds, and which way is tighter (rules, section 2)."""

from typing import Any, Literal, NamedTuple, get_args

from annotated_types import Ge, Le

from endocrine.schemas.modulations import Parameters
from endocrine.schemas.vocabulary import Mode, RegulatedSignal

MODES: tuple[str, ...] = get_args(Mode)
"""From the tightest to the loosest."""
SIGNALS: tuple[str, ...] = get_args(RegulatedSignal)
TIGHTENING: tuple[str, ...] = ("alignment_risk", "stress", "stabilize")
"""Signals whose maps may only tighten: the guard applies them."""
_LOWER_IS_TIGHTER = ("temperature", "top_p", "planner_beam", "max_output_tokens")

Kind = Literal["number", "whole", "mode", "tools"]


class Parameter(NamedTuple):
    """One parameter of the model call."""

    name: str
    kind: Kind
    low: float
    """Widest lower bound of a number; a policy may narrow it. 0 where it is no number."""
    high: float
    safety: bool
    """True: it has a safety direction, and the guard never loosens it."""

    def expected(self) -> str:
        """Return what a value of it looks like, for people."""
        return {
            "number": f"a number {self.low:g}..{self.high:g}",
            "whole": f"a whole number {self.low:g}..{self.high:g}",
            "mode": f"one of {', '.join(MODES)}",
            "tools": "a list of tools of the registry",
        }[self.kind]

    def tighter(self, value: Any, other: Any) -> Any:
        """Return the tighter of two values; of two tool lists, what both hold, in the order of the first."""
        if self.kind == "tools":
            return [tool for tool in value if tool in other]
        if self.kind == "mode":
            return value if MODES.index(value) <= MODES.index(other) else other
        return other if other < value else value

    def loosens(self, before: Any, after: Any) -> bool:
        """Return whether going from `before` to `after` loosens; always False without a safety direction."""
        if not self.safety:
            return False
        if self.kind == "tools":
            return not set(after) <= set(before)
        if self.kind == "mode":
            return MODES.index(after) > MODES.index(before)
        return bool(after > before)


def _parameter(name: str) -> Parameter:
    field = Parameters.model_fields[name]
    if name == "safety_mode":
        return Parameter(name, "mode", 0, 0, True)
    if name == "tool_allowlist":
        return Parameter(name, "tools", 0, 0, True)
    low = next(mark.ge for mark in field.metadata if isinstance(mark, Ge))
    high = next(mark.le for mark in field.metadata if isinstance(mark, Le))
    kind: Kind = "whole" if field.annotation is int else "number"
    return Parameter(name, kind, low, high, name in _LOWER_IS_TIGHTER)  # type: ignore[arg-type]


PARAMETERS: dict[str, Parameter] = {name: _parameter(name) for name in Parameters.model_fields}
"""By name, in the order of the record; the widest bounds are those of the schema."""
