"""Names of mutants: their functions, their packages, and a random sample of them."""

from collections.abc import Sequence
from random import Random


def choose(names: Sequence[str], size: int, seed: int) -> list[str]:
    """Return `size` of these mutants, or every one for 0 and where there are no more, in random order.

    A run that is cut short by its time has so a smaller sample, not a biased one. The same seed gives the same order.
    """
    ordered = sorted(names)
    return Random(seed).sample(ordered, min(size or len(ordered), len(ordered)))


def function_of(name: str) -> str:
    """Return the function of a mutant, as mutmut maps it to tests.

    >>> function_of("endocrine.agents.gating.agent.x_f__mutmut_3")
    'endocrine.agents.gating.agent.x_f'
    """
    return name.rpartition("__mutmut_")[0]


def package_of(name: str) -> str:
    """Return the package of a mutant, as its folder in the repository.

    >>> package_of("endocrine.agents.gating.agent.x_f__mutmut_3"), package_of("endocrine.agents.registry.x_f__mutmut_1")
    ('agents/gating', 'agents')
    >>> package_of("endocrine.pipeline.core.batch.xǁEngineǁprocess__mutmut_1")
    'pipeline/core'
    """
    _, top, *rest = name.split(".")
    return "/".join((top, rest[0])) if top == "pipeline" or len(rest) > 2 else top
