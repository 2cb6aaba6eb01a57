"""Combining signals into parameters, each step recorded (rules, section 2, steps 1 to 6).

The safety mode is settled first: no nudge reaches it, and the other parameters depend on whether it ends strict. Where
the turn has an earlier revision, what has a safety direction is held to it in the end: no revision is looser.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from endocrine.agents.policy.compiled import CompiledMap, Policy
from endocrine.agents.policy.parameters import MODES, PARAMETERS, SIGNALS, Parameter

OWN_TOOLS = "applications.own_tools"
"""What takes our own tools off the allowlist, in lineages."""
_ABSENT = dict.fromkeys(SIGNALS, 0.0)
Steps = list[dict[str, Any]]


class Style(NamedTuple):
    """Nudges of the feedback table, and its lock."""

    temperature: float = 0.0
    top_p: float = 0.0
    memory_write: float = 0.0
    locked: bool = False


class Hold(NamedTuple):
    """What makes a turn strict, or no looser than it was, whatever its signals."""

    tightened_by: str | None = None
    """The incident that made it strict."""
    approved_by: str | None = None
    """The operator who let it go on, strict."""
    before: Mapping[str, Any] | None = None
    """Parameters of the revision before this one."""
    label: str = ""
    """What that revision is called in the lineage."""
    own_tools: bool = True
    """Our own tools are offered; else none is on the allowlist."""

    def to(self, parameter: Parameter, steps: "Steps") -> Any:
        """Return the tighter of the last value and that of the revision before."""
        if self.before is not None and parameter.safety:
            _change(steps, "hold", self.label, parameter.tighter(self.before[parameter.name], steps[-1]["to"]))
        return steps[-1]["to"]


class Settled(NamedTuple):
    """The parameters of a turn and how each came about, in the order of the record."""

    parameters: dict[str, Any]
    lineage: dict[str, Steps]


def settle(policy: Policy, used: Mapping[str, float], style: Style, hold: Hold) -> Settled:
    """Return the parameters and their lineage. used: the level of each signal that counts.

    Pure, total, and monotone: a higher alignment_risk never loosens anything.
    """
    levels = {**_ABSENT, **used}
    mode, mode_steps = _mode(policy, used, levels, style.locked, hold)
    parameters: dict[str, Any] = {}
    lineage: dict[str, Steps] = {}
    for name, parameter in PARAMETERS.items():
        if parameter.kind == "mode":
            parameters[name], lineage[name] = mode, mode_steps
        elif parameter.kind == "tools":
            parameters[name], lineage[name] = _tools(policy, parameter, used, levels, mode, hold)
        else:
            nudge = getattr(style, name, 0.0)
            parameters[name], lineage[name] = _number(policy, parameter, used, levels, mode, nudge, hold)
    return Settled(parameters, lineage)


def _mode(
    policy: Policy, used: Mapping[str, float], levels: Mapping[str, float], locked: bool, hold: Hold
) -> tuple[str, Steps]:
    parameter = PARAMETERS["safety_mode"]
    steps = _start(policy, parameter)
    _apply_maps(policy.easing[parameter.name], parameter, used, levels, steps)
    _guard(policy.guards[parameter.name], parameter, used, levels, steps)
    if policy.document.flags.STRICT_DEFAULT:
        _change(steps, "flag", "STRICT_DEFAULT", "strict")
    if locked:
        _change(steps, "lock", "drift_lock", "strict")
    if hold.tightened_by is not None:
        _change(steps, "tighten", hold.tightened_by, "strict")
    if hold.approved_by is not None:
        _change(steps, "approve", hold.approved_by, "strict")
    allowed = policy.document.bounds.safety_mode
    value = steps[-1]["to"]
    if value not in allowed:
        value = max((mode for mode in allowed if MODES.index(mode) < MODES.index(value)), key=MODES.index)
    _change(steps, "bound", "bounds", value)
    return hold.to(parameter, steps), steps


def _tools(
    policy: Policy, parameter: Parameter, used: Mapping[str, float], levels: Mapping[str, float], mode: str, hold: Hold
) -> tuple[list[str], Steps]:
    steps = _start(policy, parameter)
    _apply_maps(policy.easing[parameter.name], parameter, used, levels, steps)
    _guard(policy.guards[parameter.name], parameter, used, levels, steps)
    for tool, flag in policy.switched_off:
        _change(steps, "flag", flag, [one for one in steps[-1]["to"] if one != tool])
    if not hold.own_tools:
        _change(steps, "flag", OWN_TOOLS, [])
    if mode == "strict":
        _change(
            steps, "strict", "strict_allowlist", parameter.tighter(steps[-1]["to"], policy.document.strict_allowlist)
        )
    _change(steps, "bound", "bounds", parameter.tighter(steps[-1]["to"], policy.document.bounds.tool_allowlist))
    return list(hold.to(parameter, steps)), steps


def _number(
    policy: Policy,
    parameter: Parameter,
    used: Mapping[str, float],
    levels: Mapping[str, float],
    mode: str,
    nudge: float,
    hold: Hold,
) -> tuple[float, Steps]:
    steps = _start(policy, parameter)
    weight = _apply_maps(policy.easing[parameter.name], parameter, used, levels, steps)
    if nudge and (mode != "strict" or nudge < 0):
        _change(steps, "nudge", "style-table", steps[-1]["to"] + nudge)
    _guard(policy.guards[parameter.name], parameter, used, levels, steps, weight)
    low, high = getattr(policy.document.bounds, parameter.name)
    value = steps[-1]["to"]
    bounded = min(max(value, low), high)
    bounded = round(bounded) if parameter.kind == "whole" else float(bounded)
    _change(steps, "bound", "bounds", bounded)
    return hold.to(parameter, steps), steps


def _start(policy: Policy, parameter: Parameter) -> Steps:
    value = getattr(policy.document.defaults, parameter.name)
    to = list(value) if parameter.kind == "tools" else value
    return [{"step": "default", "by": "defaults", "from": None, "to": to}]


def _apply_maps(
    maps: tuple[CompiledMap, ...],
    parameter: Parameter,
    used: Mapping[str, float],
    levels: Mapping[str, float],
    steps: Steps,
) -> float:
    """Step 2, weakest first. Returns the weight behind the value, for a mean with stronger maps."""
    weight = 0.0
    for rule in maps:
        if rule.signal not in used:
            continue
        value = steps[-1]["to"]
        to, weight = _combined(rule, parameter, value, rule.evaluate(used[rule.signal], value, levels), weight)
        steps.append({"step": "map", "by": rule.signal, "from": value, "to": to})
    return weight


def _guard(
    maps: tuple[CompiledMap, ...],
    parameter: Parameter,
    used: Mapping[str, float],
    levels: Mapping[str, float],
    steps: Steps,
    weight: float = 0.0,
) -> None:
    """Step 4, weakest first: with a safety direction the tighter value wins, whatever the map says."""
    for rule in maps:
        if rule.signal not in used:
            continue
        value = steps[-1]["to"]
        to = rule.evaluate(used[rule.signal], value, levels)
        if parameter.safety:
            to = parameter.tighter(value, to)
        else:
            to, weight = _combined(rule, parameter, value, to, weight)
        steps.append({"step": "guard", "by": rule.signal, "from": value, "to": to})


def _combined(rule: CompiledMap, parameter: Parameter, value: Any, to: Any, weight: float) -> tuple[Any, float]:
    """The value after a map, and the weight behind it."""
    if rule.combine == "tightest":
        return parameter.tighter(value, to), rule.weight
    if rule.combine == "weighted_mean":
        total = weight + rule.weight
        return (value * weight + to * rule.weight) / total, total
    return to, rule.weight


def _change(steps: Steps, step: str, by: str, to: Any) -> None:
    """Record a step only where it changes something."""
    value = steps[-1]["to"]
    if value != to or type(value) is not type(to):
        steps.append({"step": step, "by": by, "from": value, "to": to})
