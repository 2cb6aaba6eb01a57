"""A record of a topic as it may look, made from the topic's JSON Schema."""

import re
from typing import Any

from endocrine.pipeline.core.catalogue import CATALOGUE

_HEX = re.compile(r"^\^([a-z]+-)?\[0-9a-f\]\{(\d+)\}\$$")
_KNOWN: dict[str, Any] = {"identity": "ann", "subject": "ann", "ts": 1_735_689_600.0, "token": "$ev:mail:0"}


def example_of(topic: str) -> Any:
    """Return a value that the topic's schema allows, the optional fields left out. topic: of the catalogue."""
    schema = CATALOGUE[topic].adapter.json_schema(by_alias=True)
    return _made(schema, schema, "")


def _made(node: dict[str, Any], schema: dict[str, Any], name: str) -> Any:
    if "$ref" in node:
        return _made(schema["$defs"][node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"},
                     schema, name)  # fmt: skip
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return node["enum"][0]
    if branches := node.get("anyOf") or node.get("oneOf"):
        return _made(branches[0], schema, name)
    match node.get("type"):
        case "object":
            fields = node.get("properties", {})
            return {one: _made(fields[one], schema, one) for one in node.get("required", ()) if one in fields}
        case "array":
            inner = node.get("items", {})
            return [_made(inner, schema, name) for _ in range(node.get("minItems", 0))]
        case "integer":
            return int(max(0, node.get("minimum", 0), node.get("exclusiveMinimum", -1) + 1))
        case "number":
            least = max(0.0, node.get("minimum", 0.0), node.get("exclusiveMinimum", -1) + 1)
            if least >= (below := node.get("exclusiveMaximum", least + 1)):
                least = (node.get("exclusiveMinimum", below - 1) + below) / 2
            return float(_KNOWN.get(name, least))
        case "boolean":
            return True
        case "null":
            return None
    return _text(node, name)


def _text(node: dict[str, Any], name: str) -> str:
    pattern = node.get("pattern", "")
    if found := _HEX.match(pattern):
        return (found.group(1) or "") + "0" * int(found.group(2))
    text = str(_KNOWN.get(name, name or "text"))
    return text[: node.get("maxLength", 100)].ljust(node.get("minLength", 0), "x")
