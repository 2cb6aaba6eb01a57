"""The tools of an allowlist as a model takes them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def functions_of(allowlist: Iterable[str], policy: "Policy") -> list[dict[str, Any]]:
    """Return {name, description, parameters} of each allowed tool, in the allowlist's order.

    A tool that the registry lacks, or that its flag keeps off, is left out. The schemas are the policy's own values:
    not to be changed.
    """
    registry, flags = policy.document.tools, policy.document.flags
    specs = [registry.root[name] for name in allowlist if name in registry.root]
    return [
        {"name": spec.function, "description": spec.description, "parameters": spec.arguments}
        for spec in specs
        if spec.flag is None or flags.on(spec.flag)
    ]
