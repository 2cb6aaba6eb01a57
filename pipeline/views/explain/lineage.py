"""How a parameter came about, on one line: `0.49: novelty 0.9 wanted 1, guard alignment_risk 0.6`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from endocrine.agents.audit.narrative import CAUSES, COUNTED
from endocrine.pipeline.views.explain.sections import plain

_OVERRULES = ("guard", "strict", "tighten", "lock", "bound", "bounds", "flag")
"""Steps that hold a value that another step wanted."""


def summary(value: Any, steps: Sequence[Mapping[str, Any]], signals: Sequence[Mapping[str, Any]]) -> str:
    """Return the value and what moved it, in order; a step whose value a later one replaced `wanted` it.

    steps: the parameter's lineage. signals: those of the revision, for their levels.
    """
    levels = {one["name"]: plain(one["level"]) for one in signals if one.get("fate") in COUNTED}
    moving = [step for step in steps if step["step"] != "default" and step["from"] != step["to"]]
    parts = []
    for place, step in enumerate(moving):
        by = f"{plain(step['by'])} {levels[step['by']]}" if step["by"] in levels else plain(step["by"])
        if any(later["step"] in _OVERRULES for later in moving[place + 1 :]):
            parts.append(f"{by} wanted {plain(step['to'])}")
        elif step["step"] == "map":
            parts.append(by)
        else:
            parts.append(CAUSES.get(step["step"], f"{plain(step['step'])} {by}"))
    return f"{plain(value)}: {', '.join(parts) or 'the default'}"
