"""Functions that a request declares: bounded, and their schemas made self-contained for the gate.

A schema may refer to its own definitions (pydantic and zod write them so): references are written out. What refers
elsewhere is refused: a validator that follows it fetches a page of the sender's choice. What nothing checks, such as
most formats, is an annotation, and left out. Words of older drafts are replaced (`schema_dialects`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import Field, StringConstraints

from endocrine.agents.gating.formats import FORMATS
from endocrine.agents.gating.patterns import MAX_CHARS, checked
from endocrine.pipeline.gateway.openai.fields import Body
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.schema_dialects import rewritten

MAX_FUNCTIONS = 128
"""Of one request."""
MAX_PARTS = 20_000
"""Objects and lists of a schema once its references are written out."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_DEFINITIONS = ("$defs", "definitions")
"""Found by the references to them, wherever they are."""
_ANNOTATIONS = ("$schema", "$comment", "$id", "$anchor", "contentEncoding", "contentMediaType", "contentSchema")
EMPTY = {"type": "object", "properties": {}}
"""The schema of a function that takes nothing."""


class Function(Body):
    """A function's definition, as both APIs have it."""

    name: Name
    description: Annotated[str | None, Field(max_length=16_384)] = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    """Accepted; arguments are always checked against the schema."""


class _TooLarge(Exception):
    """Writing references out takes more than MAX_PARTS."""


def application_tools(functions: Sequence[tuple[str, Function]], reserved: frozenset[str]) -> list[dict[str, Any]]:
    """Return the functions as `interactions.opened` has them. functions: (place in the request, definition).

    Raises Refused: tool_name_taken, invalid_value for a name that is there twice, invalid_function_parameters.
    """
    seen: set[str] = set()
    for place, one in functions:
        if one.name in reserved:
            raise Refused("tool_name_taken", param=f"{place}.name")
        if one.name in seen:
            raise Refused("invalid_value", "Two functions have the same name.", param=f"{place}.name")
        seen.add(one.name)
    return [
        {
            "name": one.name,
            "description": one.description or "",
            "parameters": schema_of(one.parameters, f"{place}.parameters"),
        }
        for place, one in functions
    ]


def schema_of(schema: Mapping[str, Any] | None, place: str) -> dict[str, Any]:
    """Return a self-contained schema that the gate can run. Raises Refused (`invalid_function_parameters`), with the
    place.
    """
    if not schema:
        return dict(EMPTY)
    try:
        if len(orjson.dumps(schema)) > MAX_CHARS:
            raise ValueError(f"more than {MAX_CHARS // 1024} KiB")
        found: dict[str, Any] = checked(_Writer(schema).written())
    except _TooLarge:
        raise Refused("invalid_function_parameters", "The schema is too large once written out.", param=place) from None
    except (ValueError, RecursionError, orjson.JSONEncodeError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error)
        raise Refused(
            "invalid_function_parameters", f"The JSON Schema is not accepted: {reason}", param=place
        ) from None
    if found.get("type", "object") != "object":
        raise Refused("invalid_function_parameters", "The schema's `type` is not `object`.", param=place)
    return found


class _Writer:
    """Writes the references of one schema out."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_PARTS

    def written(self) -> dict[str, Any]:
        found = self._schema(self._root, ())
        assert isinstance(found, dict)
        return found

    def _schema(self, part: Any, within: tuple[str, ...]) -> Any:
        """A value at a place where a schema, or a list or mapping of them, may be."""
        self._left -= 1
        if self._left < 0:
            raise _TooLarge
        if isinstance(part, list):
            return [self._schema(one, within) for one in part]
        if not isinstance(part, Mapping):
            return part
        part = {name: one for name, one in part.items() if name not in _DEFINITIONS}
        if "$ref" in part:
            return self._referred(part, within)
        part = rewritten(part)
        return {name: self._member(name, one, within) for name, one in part.items() if not _annotates(name, one)}

    def _member(self, name: str, value: Any, within: tuple[str, ...]) -> Any:
        if name in ("enum", "const", "default", "examples"):  # data, whatever it looks like
            return value
        if name in ("properties", "patternProperties", "dependentSchemas") and isinstance(value, Mapping):
            return {key: self._schema(one, within) for key, one in value.items()}
        return self._schema(value, within)

    def _referred(self, part: Mapping[str, Any], within: tuple[str, ...]) -> Any:
        reference = part["$ref"]
        if reference == "#":
            raise ValueError("`$ref` refers to the schema itself: recursive schemas are not supported")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise ValueError("`$ref` refers to another document: only `#/$defs/...` is followed")
        if reference in within:
            raise ValueError("`$ref` refers to itself: recursive schemas are not supported")
        target: Any = self._root
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or step not in target:
                raise ValueError("`$ref` refers to nothing in the schema")
            target = target[step]
        siblings = {name: one for name, one in part.items() if name != "$ref" and not _annotates(name, one)}
        found = self._schema(target, (*within, reference))
        if not siblings:
            return found
        # Descriptions and defaults beside a reference only annotate; anything else must hold too.
        notes = {"title", "description", "default", "examples", "deprecated"}
        if isinstance(found, dict) and set(siblings) <= notes:
            return {**found, **siblings}
        return {"allOf": [found, self._schema(siblings, within)]}


def _annotates(name: str, value: Any) -> bool:
    """Whether a member of a schema says nothing that is checked."""
    return name in _ANNOTATIONS or (name == "format" and isinstance(value, str) and value not in FORMATS)
