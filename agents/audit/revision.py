"""What a revision changed, and how each parameter came about: its lineage with the expressions of the maps."""

from typing import TYPE_CHECKING, Any

from endocrine.schemas.modulations import Modulation, Step

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

Json = dict[str, Any]
MAPPED = ("map", "guard")
CARRY = "carry"
"""The first step of a parameter that a revision took over from the one before it."""


def revised(value: Modulation, parameters: Json, before: Json | None) -> Json | None:
    """Return the parameters that the revision changed; None where the revision before it was not seen."""
    if value.revision == 0:
        return {}
    if before is None or before["revision"] != value.revision - 1:
        return None
    known = before["parameters"]
    return {name: {"from": known[name], "to": after} for name, after in parameters.items() if known[name] != after}


def lineage_of(value: Modulation, before: Json | None, policy: "Policy") -> dict[str, list[Json]]:
    """Return the lineage of each parameter from its default on: what was carried over is replaced by how it came about.

    Expressions are those of the policy in force; null where the revision was made under another one.
    """
    follows = before is not None and before["revision"] == value.revision - 1
    same = value.policy == policy.digest
    lineage: dict[str, list[Json]] = {}
    for name, steps in value.lineage.items():
        steps_shown = [_lineage_step(name, step, policy if same else None) for step in steps]
        if follows and before is not None and steps_shown and steps_shown[0]["step"] == CARRY:
            steps_shown = [*before["lineage"].get(name, ()), *steps_shown[1:]]
        lineage[name] = steps_shown
    return lineage


def _lineage_step(parameter: str, step: Step, policy: "Policy | None") -> Json:
    expression = None
    if policy is not None and step.step in MAPPED:
        rules: Any = policy.document.maps
        rule = rules.get(step.by, {}).get(parameter)
        expression = None if rule is None else rule.expression
    return {"step": step.step, "by": step.by, "from": step.from_, "to": step.to, "expression": expression}
