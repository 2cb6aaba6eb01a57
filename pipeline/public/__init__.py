"""Endocrine: a streaming regulation layer for LLM applications.

What applications and extensions import. Everything else may change between versions.

An agent is a pure function of (state, record, policy): `Agent`, `Trigger`, `Output`, `Reject`. `Simulation` runs agents
on lists of records, with no broker; `load_policy` reads a policy as the worker does. A connector carries out what
agents ask for: an `Effect`, run by an `EffectRunner`. `Settings` are the ENDOCRINE_* variables.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from endocrine.agents.contract import Agent, Output, Reject, Trigger
    from endocrine.pipeline.connectors.contract import Effect
    from endocrine.pipeline.connectors.effect_runner import EffectRunner as EffectRunner
    from endocrine.pipeline.core.simulation import Simulation
    from endocrine.pipeline.process.policy_files import load_policy
    from endocrine.pipeline.process.settings import Settings

__all__ = [
    "Agent",
    "Effect",
    "EffectRunner",
    "Output",
    "Reject",
    "Settings",
    "Simulation",
    "Trigger",
    "__version__",
    "load_policy",
]
_HOMES = {
    "Agent": "endocrine.agents.contract",
    "Effect": "endocrine.pipeline.connectors.contract",
    "EffectRunner": "endocrine.pipeline.connectors.effect_runner",
    "Output": "endocrine.agents.contract",
    "Reject": "endocrine.agents.contract",
    "Settings": "endocrine.pipeline.process.settings",
    "Simulation": "endocrine.pipeline.core.simulation",
    "Trigger": "endocrine.agents.contract",
    "load_policy": "endocrine.pipeline.process.policy_files",
}
"""Loaded when they are asked for: `endocrine --version` needs no Kafka client."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("endocrine.pipeline.process.version").code_version()
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
