"""Good values of any topic of the catalogue, made from its JSON Schema: what a topic gains is covered by itself."""

import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from endocrine.pipeline.core.catalogue import CATALOGUE

_DEEPEST = 6
_PART = re.compile(r"(?P<literal>\\?[^\\\[\](){}|*+?.])|\[(?P<among>[^\]^\\]+)\](?:\{(?:\d+,)?(?P<most>\d+)\})?")
"""Of a pattern of literals and classes, `[a-z0-9]` or `[0-9a-f]{1,64}`: one of them."""
_RANGE = re.compile(r"(\w)-(\w)")
_LONGEST = 24
"""Characters of a made text, where its schema does not ask for more."""
Schema = dict[str, Any]


@cache
def schema_of(topic: str) -> Schema:
    """JSON Schema of a topic's values."""
    return CATALOGUE[topic].adapter.json_schema()


class Instances:
    """Makes values from a seed. text: what a string without a rule of its own holds, by its field's name."""

    def __init__(self, rng: random.Random, text: Callable[[str], str]) -> None:
        self._rng = rng
        self._text = text

    def of(self, topic: str) -> dict[str, Any]:
        """A value that the topic's model takes, nearly always."""
        root = schema_of(topic)
        value: dict[str, Any] = self._value(root, root, "", 0)
        return value

    def _value(self, schema: Schema, root: Schema, name: str, depth: int) -> Any:
        rng = self._rng
        if "$ref" in schema:
            return self._value(_resolved(schema["$ref"], root), root, name, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._value(rng.choice(schema[union]), root, name, depth)
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, root, depth)
        if kind == "array":
            return self._array(schema, root, name, depth)
        if kind == "string":
            return self._string(schema, name)
        if kind in ("integer", "number"):
            return self._number(schema, kind)
        if kind == "boolean":
            return rng.random() < 0.5
        return None if kind == "null" else rng.choice([None, 1, "x", [1], {"a": True}])

    def _object(self, schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
        rng, made, required = self._rng, {}, set(schema.get("required", ()))
        for name, inner in schema.get("properties", {}).items():
            if name in required or (depth < _DEEPEST and rng.random() < 0.6):
                made[name] = self._value(inner, root, name, depth + 1)
        more = schema.get("additionalProperties", "properties" not in schema)
        if more and depth < _DEEPEST:
            inner = more if isinstance(more, dict) else {}
            for _ in range(rng.randint(0, 2)):
                name = rng.choice(["query", "url", "note", "password", "x"])
                made[name] = self._value(inner, root, name, depth + 1)
        return made

    def _array(self, schema: Schema, root: Schema, name: str, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self._value(one, root, name, depth + 1) for one in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        count = least if depth >= _DEEPEST else self._rng.randint(least, min(schema.get("maxItems", 3), least + 3))
        return [self._value(schema.get("items", {}), root, name, depth + 1) for _ in range(count)]

    def _string(self, schema: Schema, name: str) -> str:
        pattern = schema.get("pattern", "")
        text = self._text(name)
        if pattern and not re.fullmatch(pattern, text):
            made = "".join(self._part(one) for one in _PART.finditer(pattern[1:-1]))
            if re.fullmatch(pattern, made):
                return made
        least, most = schema.get("minLength", 0), schema.get("maxLength", max(_LONGEST, len(text)))
        return text.ljust(least, "x")[:most]

    def _part(self, part: re.Match[str]) -> str:
        """Text of one part of a pattern: the longest that it takes, as digests have one length."""
        if part["literal"]:
            return part["literal"].removeprefix("\\")
        among = _RANGE.sub(lambda ends: "".join(map(chr, range(ord(ends[1]), ord(ends[2]) + 1))), part["among"])
        return "".join(self._rng.choices(among, k=int(part["most"] or 1)))

    def _number(self, schema: Schema, kind: str) -> float | int:
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high = min(schema.get("maximum", schema.get("exclusiveMaximum", low + 100)), low + 100)
        if kind == "integer":
            return self._rng.randint(int(low), int(high))
        return round(self._rng.uniform(low, high), 3) or (high if "exclusiveMinimum" in schema else low)


def _resolved(reference: str, root: Schema) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)
