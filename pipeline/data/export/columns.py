"""The columns of a topic's file: the same for every record of the topic, in every format."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of

Kind = Literal["text", "int", "float", "bool", "time", "json"]
PREFIX = "value_"
"""Before a field's name: the journal's records have a `partition` of their own, others an `id`."""
OTHER = "value_other"
"""Column of the fields that a schema does not know."""
_KINDS: Mapping[str, Kind] = {"string": "text", "integer": "int", "number": "float", "boolean": "bool"}


class Column(NamedTuple):
    """One column. kind: `time` is milliseconds since 1970, `json` any JSON value."""

    name: str
    kind: Kind


LEADING = [
    Column("topic", "text"),
    Column("partition", "int"),
    Column("offset", "int"),
    Column("append_time", "time"),
    Column("key", "text"),
    Column("id", "text"),
]
TRAILING = [
    Column(OTHER, "json"),
    Column("raw", "text"),
    Column("raw_encoding", "text"),
    Column("headers", "json"),
]


def known(topic: str) -> bool:
    """Return whether there is such a topic (without prefix), dead letters included."""
    entry = CATALOGUE.get(source_of(topic))
    return entry is not None and (not holds_dead_letters(topic) or entry.owner is not None)


def fields_of(topic: str) -> dict[str, Kind]:
    """Return the fields of a topic's values and what they hold; none for dead letters, whose values may be anything.

    Where a topic has several kinds of record, those of all. Objects, lists and what may be of several types are `json`.
    """
    if holds_dead_letters(topic):
        return {}
    schema = CATALOGUE[topic].adapter.json_schema(by_alias=True)
    fields: dict[str, Kind] = {}
    for record in _branches(schema, schema):
        for name, node in record.get("properties", {}).items():
            kind = _kind(node, schema)
            fields[name] = kind if fields.get(name, kind) == kind else "json"
    return fields


def columns_of(topic: str) -> list[Column]:
    """Return all columns of a topic's file, in order."""
    return [*LEADING, *(Column(PREFIX + name, kind) for name, kind in fields_of(topic).items()), *TRAILING]


def _branches(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a node may be, references followed; null left out."""
    if "$ref" in node:
        yield from _branches(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
        return
    inner = node.get("anyOf") or node.get("oneOf")
    if inner is None:
        if node.get("type") != "null":
            yield node
        return
    for branch in inner:
        yield from _branches(branch, schema)


def _kind(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Kind:
    kinds = {_KINDS.get(str(branch.get("type")), "json") for branch in _branches(node, schema)}
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else "json"
