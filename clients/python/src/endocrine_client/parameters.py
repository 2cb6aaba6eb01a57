"""How to call the model: parameters and functions of a turn, and as the OpenAI libraries take them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Api = Literal["chat", "responses"]


@dataclass(frozen=True)
class Parameters:
    """How to call the model now."""

    temperature: float
    """0 to 1."""
    top_p: float
    """0.1 to 1."""
    max_output_tokens: int
    reasoning_effort: float
    """A share, 0 to 1: below 0.34 low, below 0.67 medium, else high."""
    retrieval_k: int
    """Snippets to retrieve."""
    planner_beam: int
    """Plans considered side by side."""
    memory_write: float
    """Strength with which the turn may become a memory, 0.1 to 1."""
    safety_mode: str
    """strict, balanced or creative."""
    tool_allowlist: tuple[str, ...]
    """Canonical names of the tools that the turn may use."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Parameters":
        """The parameters of a gateway's answer; fields that are new are left out. Raises KeyError, TypeError."""
        named = {field.name: value[field.name] for field in fields(cls)}
        return cls(**named | {"tool_allowlist": tuple(named["tool_allowlist"])})

    @property
    def effort(self) -> Literal["low", "medium", "high"]:
        """The reasoning effort in words."""
        if self.reasoning_effort < 0.34:
            return "low"
        return "medium" if self.reasoning_effort < 0.67 else "high"

    def openai(self, *, api: Api = "chat", reasoning: bool = False) -> dict[str, Any]:
        """Keyword arguments of `chat.completions.create`, or of `responses.create`.

        reasoning: the model is one that takes an effort, and neither temperature nor top_p.
        """
        limit = "max_completion_tokens" if api == "chat" else "max_output_tokens"
        sampling: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p}
        if reasoning:
            sampling = {"reasoning_effort": self.effort} if api == "chat" else {"reasoning": {"effort": self.effort}}
        return sampling | {limit: self.max_output_tokens}


STRICT = Parameters(
    temperature=0.2,
    top_p=0.5,
    max_output_tokens=500,
    reasoning_effort=0.5,
    retrieval_k=4,
    planner_beam=1,
    memory_write=0.1,
    safety_mode="strict",
    tool_allowlist=(),
)
"""Used where the gateway could not be asked: the model may still be called, with nothing to act with."""


class Functions(tuple[dict[str, Any], ...]):
    """The tools that may be offered to the model: `name`, `description`, `parameters` (a JSON Schema)."""

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Function names, which the model says."""
        return tuple(str(one["name"]) for one in self)

    def openai(self, *, api: Api = "chat") -> list[dict[str, Any]]:
        """The argument `tools` of `chat.completions.create`, or of `responses.create`."""
        if api == "chat":
            return [{"type": "function", "function": dict(one)} for one in self]
        return [{"type": "function", "strict": False, **one} for one in self]

    @classmethod
    def from_json(cls, value: Iterable[Mapping[str, Any]]) -> "Functions":
        """The functions of a gateway's answer."""
        return cls(dict(one) for one in value)
