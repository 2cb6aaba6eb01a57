"""JSON Schemas of the policy: of a tool's arguments, and patterns over arguments and results. Checked when it loads."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from pydantic import AfterValidator, Field

from endocrine.agents._shared import linear
from endocrine.agents.gating.formats import FORMATS
from endocrine.agents.gating.json_schema import Schema

MAX_DEPTH = 48
"""Levels of objects and lists in a schema, what it holds as data included."""
MAX_CHARS = 65_536
"""Characters of a schema, written as compact JSON."""
_WITHOUT_FORMATS = FormatChecker(formats=())
_ONE = ("additionalProperties", "items", "contains", "not", "if", "then", "else", "propertyNames")
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_REFUSED = {
    "$ref": "write the schema out",
    "$dynamicRef": "write the schema out",
    "$recursiveRef": "write the schema out",
    "unevaluatedProperties": "write additionalProperties",
    "unevaluatedItems": "write items",
    "dependencies": "write dependentRequired or dependentSchemas",
    "additionalItems": "write items beside prefixItems",
    "contentEncoding": "it would not be checked",
    "contentMediaType": "it would not be checked",
    "contentSchema": "it would not be checked",
}
"""What is not run here, and what to do instead: to leave it out in silence would let pass what it forbids."""


def compiled(schema: Mapping[str, Any] | bool) -> Schema:
    """Return the validator of a schema that was checked."""
    return Schema(schema)


def checked(schema: Any, *, local_references: bool = False, ignored: tuple[str, ...] = ()) -> Any:
    """Return the schema as it is. Raises ValueError for what is no schema, or asks for what is not run, with its place.

    local_references: the caller sees to `$ref`. ignored: keywords that are not asserted, whatever they say.
    """
    _checked_text(_bounded(schema), (*ignored, "$ref") if local_references else ignored)
    return schema


def checked_pattern(schema: Any) -> Any:
    """Return a schema of the policy as it is. Raises ValueError as `checked` does."""
    return checked(schema)


@lru_cache(maxsize=256)
def _checked_text(text: str, ignored: tuple[str, ...]) -> None:
    """Check a schema by its JSON text: the tools of a policy that is read again are mostly as they were."""
    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema, format_checker=_WITHOUT_FORMATS)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.json_path}: {error.message}") from error
    for place, part in parts(schema):
        for name, instead in _REFUSED.items():
            if name in part and name not in ignored:
                raise ValueError(f"{place}: {name} is not supported: {instead}")
        for pattern in part.get("patternProperties", ()):
            _runs(f"{place}.patternProperties", pattern)
        if "pattern" in part:
            _runs(f"{place}.pattern", part["pattern"])
        if "format" in part and "format" not in ignored and part["format"] not in FORMATS:
            raise ValueError(f"{place}.format: {part['format']!r} is not checked; known are {', '.join(FORMATS)}")


def parts(schema: Any, place: str = "$") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object that is a schema within a valid one, with its place: itself first; data in it is not."""
    if not isinstance(schema, dict):
        return
    yield place, schema
    for name in _ONE:
        yield from parts(schema.get(name), f"{place}.{name}")
    for name in _MANY:
        for number, part in enumerate(schema.get(name, ())):
            yield from parts(part, f"{place}.{name}[{number}]")
    for name in _NAMED:
        for key, part in schema.get(name, {}).items():
            yield from parts(part, f"{place}.{name}.{key}")


def _runs(place: str, pattern: str) -> None:
    fault = linear.fault(pattern)
    if fault is not None:
        shown = pattern if len(pattern) <= 80 else pattern[:80] + "..."
        raise ValueError(
            f"not a JSON Schema: {place}: {shown!r} cannot be run in linear time: {fault}; RE2 has no "
            "backreferences and no lookaround"
        )


def _bounded(schema: Any) -> str:
    """The schema as compact JSON. Raises ValueError where it is no schema, or too deep or too long."""
    level, depth = [schema], 0
    while level := [part for part in level if isinstance(part, (dict, list))]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels deep: write it flatter")
        level = [member for part in level for member in (part.values() if isinstance(part, dict) else part)]
    try:
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a JSON Schema: no JSON value: {error}") from None
    if len(text) > MAX_CHARS:
        raise ValueError(f"{len(text)} characters as JSON, expected at most {MAX_CHARS}")
    return text


Pattern = Annotated[
    bool | dict[str, Any],
    AfterValidator(checked_pattern),
    Field(description="JSON Schema 2020-12 that holds or not; true: always. An absent key is no match: name it."),
]
"""What arguments or results are held against. `properties` alone holds where the key is absent: use `required`."""
