"""Trying a map out before it is trusted: a grid of 101 levels, with the other signals at 0 and at 1."""

from collections.abc import Iterator, Sequence
from typing import Any

from endocrine.agents.policy.expressions import Evaluate
from endocrine.agents.policy.parameters import MODES, SIGNALS, TIGHTENING, Parameter

LEVELS = tuple(number / 100 for number in range(101))
COARSE = LEVELS[::10]
FIRST = "alignment_risk"
"""The signal that must never loosen anything, through whichever map."""


def faults(
    signal: str,
    parameter: Parameter,
    evaluate: Evaluate,
    names: frozenset[str],
    guard: Evaluate | None,
    tools: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a map on the grid, as (what is wrong, what is expected); the first fault found.

    guard: alignment_risk's own map of the parameter, which has the last word once alignment_risk is there.
    tools: canonical names of the registry, in its order.

    - it fails, or its value is not of the parameter's kind;
    - it is a tightening signal's and loosens a safety parameter as its own level rises (where the value so far is the
      loosest as it is, elsewhere as the guard leaves it);
    - it loosens a safety parameter as alignment_risk rises, or as the value so far tightens: either would let a
      rising alignment_risk, or a nudge that tightens, loosen the end result.
    """
    currents = _currents(parameter, tools)
    if "current" not in names:
        currents = currents[-1:]
    others = (0.0, 1.0) if names & set(SIGNALS) else (0.0,)
    try:
        for other in others:
            for current in currents:
                for x in LEVELS:
                    value = evaluate(x, current, dict.fromkeys(SIGNALS, other))
                    if not _fits(parameter, value, tools):
                        yield f"gives {_shown(value)} at {signal} {x:g}, others {other:g}", parameter.expected()
                        return
    except (ArithmeticError, TypeError, ValueError, KeyError) as error:
        yield f"fails on the grid ({type(error).__name__}: {error})", parameter.expected()
        return
    if not parameter.safety:
        return
    tighter = "a map that only tightens"
    for other in others:
        fixed = dict.fromkeys(SIGNALS, other)
        if signal in TIGHTENING:
            for current in currents:
                values = [evaluate(x, current, {**fixed, signal: x}) for x in LEVELS]
                if current != currents[-1]:
                    values = [parameter.tighter(current, value) for value in values]
                at = _loosening(parameter, values)
                if at is not None:
                    change = f"{_shown(values[at - 1])} to {_shown(values[at])}"
                    yield f"loosens from {change} as {signal} rises to {LEVELS[at]:g}, others {other:g}", tighter
                    return
        if FIRST in names and signal != FIRST:
            for x in COARSE:
                for current in currents:
                    values = _as_first_rises(parameter, evaluate, guard, x, current, {**fixed, signal: x})
                    at = _loosening(parameter, values)
                    if at is not None:
                        change = f"{_shown(values[at - 1])} to {_shown(values[at])}"
                        yield f"loosens from {change} as {FIRST} rises to {LEVELS[at - 1]:g} (x {x:g})", tighter
                        return
        if "current" in names:
            for x in LEVELS:
                values = [evaluate(x, current, {**fixed, signal: x}) for current in reversed(currents)]
                if signal in TIGHTENING:
                    pairs = zip(reversed(currents), values, strict=True)
                    values = [parameter.tighter(current, value) for current, value in pairs]
                at = _loosening(parameter, values)
                if at is not None:
                    change = f"{_shown(values[at - 1])} to {_shown(values[at])}"
                    yield f"loosens from {change} as current tightens (x {x:g})", "a map that follows current"
                    return


def _as_first_rises(
    parameter: Parameter, evaluate: Evaluate, guard: Evaluate | None, x: float, current: Any, levels: dict[str, float]
) -> list[Any]:
    """The value without alignment_risk, then at each of its levels, guarded by its own map."""
    values = [evaluate(x, current, {**levels, FIRST: 0.0})]
    for level in LEVELS:
        at_level = {**levels, FIRST: level}
        value = evaluate(x, current, at_level)
        values.append(value if guard is None else parameter.tighter(value, guard(level, value, at_level)))
    return values


def _loosening(parameter: Parameter, values: list[Any]) -> int | None:
    return next((at for at in range(1, len(values)) if parameter.loosens(values[at - 1], values[at])), None)


def _currents(parameter: Parameter, tools: Sequence[str]) -> list[Any]:
    """Values so far to try, from the tightest to the loosest."""
    if parameter.kind == "mode":
        return list(MODES)
    if parameter.kind == "tools":
        return [list(tools[:number]) for number in range(len(tools) + 1)]
    span = parameter.high - parameter.low
    values = [parameter.low + span * share for share in COARSE]
    return sorted({round(value) for value in values}) if parameter.kind == "whole" else values


def _fits(parameter: Parameter, value: Any, tools: Sequence[str]) -> bool:
    if parameter.kind == "number":
        return isinstance(value, float)
    if parameter.kind == "whole":
        return isinstance(value, int) and not isinstance(value, bool)
    if parameter.kind == "mode":
        return value in MODES
    return isinstance(value, list) and all(tool in tools for tool in value)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
