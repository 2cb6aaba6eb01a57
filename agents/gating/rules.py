"""The `gating` and `tools` sections of the policy: the gate's constants and the tool registry (rules, section 4)."""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, RootModel, StringConstraints, field_validator, model_validator

from endocrine.agents._shared.prompt_keys import FINGERPRINT
from endocrine.agents.gating.json_schema import Schema
from endocrine.agents.gating.patterns import Pattern, checked, compiled, parts
from endocrine.schemas.base import STRICT, STRICT_ROOT
from endocrine.schemas.vocabulary import Tool

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
_MOST_TOOLS = 64
"""The gate keeps rates and breakers per tool: its memory of one identity stays bounded."""
Seconds = Annotated[float, Field(gt=0, le=31_536_000, description="Seconds of event time, at most a year.")]


class RateLimit(BaseModel):
    """Calls of one tool that one identity is allowed within a window; it begins with its first call."""

    model_config = STRICT

    calls: Annotated[int, Field(ge=0, description="0: none at all.")]
    window_s: Seconds


class RateLimits(RateLimit):
    """The limit of every tool, and of those that have their own."""

    tools: Annotated[dict[Tool, RateLimit], Field(description="Canonical name to its own limit.")]

    def of(self, tool: str) -> RateLimit:
        """Return the limit that holds for a tool."""
        return self.tools.get(tool, self)


class CircuitRules(BaseModel):
    """The breaker of each (identity, tool)."""

    model_config = STRICT

    failures: Annotated[int, Field(ge=1, description="Failed results in a row (error, timeout) that open it.")]
    open_s: Seconds


class FirstCall(BaseModel):
    """What a sequence begins with: an allowed call, or its result."""

    model_config = STRICT

    tool: Tool
    arguments: Pattern = True
    result: Annotated[Pattern | None, Field(description="Held against the result's output; null: the call alone.")] = (
        None
    )

    @cached_property
    def matches_arguments(self) -> Schema:
        """Compiled `arguments`."""
        return compiled(self.arguments)

    @cached_property
    def matches_result(self) -> Schema:
        """Compiled `result`."""
        return compiled(True if self.result is None else self.result)


class ThenCall(BaseModel):
    """What a sequence ends with: the call that it stops."""

    model_config = STRICT

    tool: Tool
    arguments: Pattern = True

    @cached_property
    def matches_arguments(self) -> Schema:
        """Compiled `arguments`."""
        return compiled(self.arguments)


class SequenceRule(BaseModel):
    """After `first`, the call `then` needs a person, or is denied."""

    model_config = STRICT

    name: _Name
    first: FirstCall
    then: ThenCall
    decision: Annotated[
        Literal["approval", "denied"],
        Field(description="denied: the tool leaves the allowlist for such calls, so the reason is not_in_allowlist."),
    ]
    window_s: Annotated[
        Seconds | None, Field(description="How long after `first`, over turns; null: within its turn only.")
    ] = None


class GatingRules(BaseModel):
    """The gate's constants; shipped values in `config/gating.yaml`."""

    model_config = STRICT

    step_limit: Annotated[int, Field(ge=1, description="Model steps; a call of a later step is denied, step_limit.")]
    arguments_depth: Annotated[int, Field(ge=1, le=64, description="Deeper arguments are invalid.")]
    open_turns: Annotated[int, Field(ge=1, description="Open turns kept per identity; the oldest is closed.")]
    answered_turns: Annotated[
        int, Field(ge=1, description="Open turns that we answer ourselves (`respond`), beside those.")
    ]
    closed_turns: Annotated[int, Field(ge=1, description="Recently closed turns kept per identity.")]
    early_modulations: Annotated[
        int, Field(ge=1, description="Modulations kept per identity whose turn was not seen opened yet.")
    ]
    waiting_calls: Annotated[int, Field(ge=1, description="Calls of one turn that may wait for its first modulation.")]
    calls_remembered: Annotated[
        int,
        Field(ge=1, le=16_384, description="Calls kept per identity; while there is no room, more are denied."),
    ]
    stale_s: Annotated[Seconds, Field(description="A call appended longer after its ts is denied, stale_call.")]
    burst: Annotated[
        int, Field(ge=0, le=100, description="Windows of a rate limit that claimed time may gain on append time.")
    ]
    arguments_chars: Annotated[
        int, Field(ge=1024, le=1 << 20, description="Characters of arguments as JSON; larger ones are invalid.")
    ]
    declared_chars: Annotated[
        int,
        Field(
            ge=1024,
            le=1 << 22,
            description="Characters of the functions that open turns of one identity declare; of a turn beyond it none "
            "is allowed.",
        ),
    ]
    rate_limits: Annotated[RateLimits, Field(description="Calls per identity, tool and window.")]
    circuit: Annotated[CircuitRules, Field(description="When a tool that keeps failing is left alone.")]
    approval_ttl_s: Annotated[Seconds, Field(description="How long a call waits for a person; then it is denied.")]
    pending_calls: Annotated[int, Field(ge=1, description="Calls of one identity that may wait for a person.")]
    sequences: Annotated[
        tuple[SequenceRule, ...], Field(strict=False, max_length=32, description="Rules over two calls.")
    ]
    prompt_hmac_key_id: Annotated[
        str | None,
        Field(
            pattern=f"^{FINGERPRINT}$",
            description="Fingerprint of the key of prompt hashes, 16 hexadecimal digits; null: no hash.",
        ),
    ]
    redacted_keys: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, to_lower=True)], ...],
        Field(min_length=1, strict=False, description="An argument whose name contains one of these is never shown."),
    ]
    summary_chars: Annotated[int, Field(ge=16, le=180, description="Characters of a summary of arguments, at most.")]

    @field_validator("sequences")
    @classmethod
    def _names_differ(cls, sequences: tuple[SequenceRule, ...]) -> tuple[SequenceRule, ...]:
        names = [rule.name for rule in sequences]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is given to two sequences; each needs its own")
        return sequences

    @cached_property
    def sequence(self) -> Mapping[str, SequenceRule]:
        """Sequence rules by name."""
        return MappingProxyType({rule.name: rule for rule in self.sequences})


class Approval(BaseModel):
    """When a call needs a person."""

    model_config = STRICT

    when: Annotated[Pattern, Field(description="Held against the arguments; true: every call.")]


class ToolSpec(BaseModel):
    """One tool: what policy calls it is the entry's name, what models call it is `function`."""

    model_config = STRICT

    function: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), Field(description="Function name models see.")
    ]
    description: Annotated[str, Field(min_length=1, max_length=1024, description="Description for the models.")]
    flag: Annotated[str | None, Field(min_length=1, description="Policy flag that must be true; null: always on.")]
    connector: Annotated[_Name, Field(description="What runs it; the executor knows the names.")]
    idempotent: Annotated[bool, Field(description="True: running it twice for one call id does no harm.")]
    timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds of wall clock until a run is given up: timeout.")
    ]
    approval: Annotated[Approval | None, Field(description="Which calls need a person; null: none.")]
    arguments: Annotated[dict[str, Any], Field(description="JSON Schema 2020-12 of the arguments.")]

    @field_validator("arguments")
    @classmethod
    def _closed_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError(f"type is {schema.get('type')!r}, expected 'object': arguments are a JSON object")
        checked(schema)
        for place, part in parts(schema):
            types = part.get("type")
            takes_objects = "object" in types if isinstance(types, list) else types == "object"
            if takes_objects and part.get("additionalProperties") is not False:
                raise ValueError(f"{place}: every schema of type object needs additionalProperties: false")
        return schema

    @cached_property
    def needs_person(self) -> Schema:
        """Compiled `approval.when`; never holds without an expression."""
        return compiled(False if self.approval is None else self.approval.when)


class ToolRegistry(RootModel[dict[Tool, ToolSpec]]):
    """The one registry that maps canonical names (policy) and function names (models); `config/tools.yaml`."""

    model_config = STRICT_ROOT

    @model_validator(mode="after")
    def _functions_differ(self) -> Self:
        if len(self.root) > _MOST_TOOLS:
            raise ValueError(f"{len(self.root)} tools, expected at most {_MOST_TOOLS}")
        seen: dict[str, str] = {}
        for name, spec in self.root.items():
            other = seen.setdefault(spec.function.casefold(), name)
            if other != name:
                raise ValueError(f"{name}: function {spec.function!r} belongs to {other} already; each needs its own")
        return self

    @cached_property
    def names(self) -> frozenset[str]:
        """Canonical names; a policy may name no other."""
        return frozenset(self.root)

    @cached_property
    def by_function(self) -> Mapping[str, Tool]:
        """Canonical name by function name; to be matched exactly, character by character."""
        return MappingProxyType({spec.function: name for name, spec in self.root.items()})

    @cached_property
    def validators(self) -> Mapping[str, Schema]:
        """Compiled validator of each canonical name's arguments; made once per registry."""
        return MappingProxyType({name: compiled(spec.arguments) for name, spec in self.root.items()})

    def flag(self, tool: Tool) -> str | None:
        """Return the policy flag a canonical name of this registry hangs on, or None."""
        return self.root[tool].flag
