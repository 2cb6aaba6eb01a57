"""Policies of tests: the shipped one, with something laid over it, or the parts of it that the tools' agents read."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from endocrine import config
from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.gating.rules import GatingRules, ToolRegistry
from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.policy.resolve import lay_over
from endocrine.agents.policy.sections import Flags
from endocrine.pipeline.process.policy_files import shipped_policy

TOOL_FLAGS = {
    "BROWSER_TOOL": True,
    "STRICT_DEFAULT": False,
    "TOOL_ANALYTICS": True,
    "SEARCH_TOOL": False,
    "CODE_EXEC_TOOL": False,
}


@cache
def _text(name: str) -> str:
    return (Path(config.__file__).parent / f"{name}.yaml").read_text(encoding="utf-8")


def shipped_section(name: str) -> Any:
    """The content of `config/NAME.yaml`, a new value each time."""
    return yaml.safe_load(_text(name))


def policy_over(partial: Mapping[str, Any], prompt_keys: PromptKeys | None = None) -> Policy:
    """The shipped policy with a partial document laid over it, compiled."""
    resolved, errors = lay_over(shipped_policy().resolved, partial)
    assert errors == []
    return compile_policy(resolved, prompt_keys or {})


def tool_policy(
    flags: Mapping[str, bool] | None = None,
    strict_allowlist: tuple[str, ...] = ("retrieval",),
    digest: str = "0" * 64,
    tools: Mapping[str, Any] | None = None,
    **gating: Any,
) -> SimpleNamespace:
    """What the gate and the tool connector read of a policy: shipped values, but for what is given."""
    document = SimpleNamespace(
        gating=GatingRules.model_validate({**shipped_section("gating"), **gating}),
        tools=ToolRegistry.model_validate({**shipped_section("tools"), **(tools or {})}) if tools else _registry(),
        flags=Flags(**{**TOOL_FLAGS, **(flags or {})}),
        strict_allowlist=strict_allowlist,
    )
    policy = SimpleNamespace(digest=digest, document=document, canary=None)
    policy.of = lambda identity: policy
    return policy


@cache
def _registry() -> ToolRegistry:
    return ToolRegistry.model_validate(shipped_section("tools"))
