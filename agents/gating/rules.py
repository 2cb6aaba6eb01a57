"""The `gating` and `tools` sections of the policy: the gate's constants and the tool registry (rules, section 4)."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, field_validator, model_validator

from schemas.vocabulary import Tool

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

# JSON Schema lets 5.0 pass as an integer; a handler would get a float. No coercion: it must be written as an integer.
_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


class GatingRules(BaseModel):
    """The gate's constants; shipped values in `config/gating.yaml`."""

    model_config = _STRICT

    step_limit: Annotated[int, Field(ge=1, description="Model steps; a call of a later step is denied, step_limit.")]
    arguments_depth: Annotated[int, Field(ge=1, le=64, description="Deeper arguments are invalid.")]
    open_turns: Annotated[int, Field(ge=1, description="Open turns remembered per identity; the oldest is closed.")]
    closed_turns: Annotated[int, Field(ge=1, description="Recently closed turns remembered per identity.")]
    early_modulations: Annotated[
        int, Field(ge=1, description="Modulations remembered per identity whose turn was not seen opened yet.")
    ]
    waiting_calls: Annotated[int, Field(ge=1, description="Calls of one turn that may wait for its first modulation.")]
    calls_remembered: Annotated[int, Field(ge=1, description="Calls remembered per identity: a copy is not answered.")]
    prompt_hmac_key_id: Annotated[
        str | None, Field(min_length=1, max_length=64, description="Name of the key in force; for people who verify.")
    ]
    prompt_hmac_key: Annotated[
        str | None,
        Field(min_length=16, repr=False, description="Key of the prompt hash; null: no hash."),
    ]
    redacted_keys: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=2, to_lower=True)], ...],
        Field(min_length=1, strict=False, description="An argument whose name contains one of these is never shown."),
    ]
    summary_chars: Annotated[int, Field(ge=16, le=180, description="Characters of a summary of arguments, at most.")]

    @model_validator(mode="after")
    def _key_has_a_name(self) -> Self:
        if (self.prompt_hmac_key is None) != (self.prompt_hmac_key_id is None):
            raise ValueError("prompt_hmac_key and prompt_hmac_key_id belong together: give both, or null for both")
        return self


class ToolSpec(BaseModel):
    """One tool: what policy calls it is the entry's name, what models call it is `function`."""

    model_config = _STRICT

    function: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"), Field(description="Function name models see.")
    ]
    description: Annotated[str, Field(min_length=1, max_length=1024, description="What models are told it does.")]
    flag: Annotated[str | None, Field(min_length=1, description="Policy flag that must be true; null: always on.")]
    arguments: Annotated[dict[str, Any], Field(description="JSON Schema 2020-12 of the arguments.")]

    @field_validator("arguments")
    @classmethod
    def _closed_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError(f"type is {schema.get('type')!r}, expected 'object': arguments are a JSON object")
        try:
            _Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"not a JSON Schema: {error.json_path}: {error.message}") from error
        for part in _parts(schema):
            if "$ref" in part or "$dynamicRef" in part:
                raise ValueError("$ref is not supported: write the schema out")
            if part.get("type") == "object" and part.get("additionalProperties") is not False:
                raise ValueError("every schema of type object needs additionalProperties: false")
        return schema


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from _parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _parts(part)


class ToolRegistry(RootModel[dict[Tool, ToolSpec]]):
    """The one registry that maps canonical names (policy) and function names (models); `config/tools.yaml`."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _functions_differ(self) -> Self:
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
    def validators(self) -> Mapping[str, Any]:
        """Compiled validator of each canonical name's arguments; made once per registry."""
        return MappingProxyType({name: _Validator(spec.arguments) for name, spec in self.root.items()})

    def flag(self, tool: Tool) -> str | None:
        """The policy flag a canonical name of this registry hangs on, or None."""
        return self.root[tool].flag
