"""Records that hold one text in every field that takes any text, for each topic of the catalogue."""

from contextlib import suppress
from functools import cache
from typing import Any

from pydantic import ValidationError

from endocrine.pipeline.console.browsing.example import example_of
from endocrine.pipeline.core.catalogue import CATALOGUE

Json = dict[str, Any]


def filled(topic: str, text: str) -> tuple[bytes, Json]:
    """Return key and value of a valid record with the text in every field that takes it, the optional ones too."""
    entry = CATALOGUE[topic]
    schema, example = _known(topic)
    value = dict(example)
    for name, wanted in _filled(schema, schema, value, text).items():
        if wanted != value.get(name):
            with suppress(ValidationError):
                entry.validate(value | {name: wanted})
                value[name] = wanted
    entry.validate(value)
    identity = str(value.get("tool" if entry.key == "tool" else entry.identity_field, ""))
    return entry.key_of(identity, value).encode(), value


@cache
def _known(topic: str) -> tuple[Json, Json]:
    """Schema and example, each made once: they take longer than all the rest."""
    return CATALOGUE[topic].adapter.json_schema(by_alias=True), example_of(topic)


def _filled(node: Json, schema: Json, example: Any, text: str) -> Any:
    if "$ref" in node:
        return _filled(schema["$defs"][node["$ref"].rpartition("/")[2]], schema, example, text)
    if branches := node.get("anyOf") or node.get("oneOf"):
        return _filled(branches[0], schema, example, text)
    if node.get("type") == "object" and isinstance(example, dict | None):
        made = dict(example or {})
        for name, part in node.get("properties", {}).items():
            made[name] = _filled(part, schema, made.get(name), text)
        return {name: part for name, part in made.items() if part is not None}
    if node.get("type") == "array":
        inner = _filled(node.get("items", {}), schema, None, text)
        return [] if inner is None else [inner]
    plain = node.get("type") == "string" and not {"pattern", "const", "enum", "format"} & set(node)
    return text[: node.get("maxLength", 256)] if plain else node.get("const", example)
