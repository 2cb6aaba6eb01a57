"""JSON Schemas that applications declare: what their libraries write is taken, and nothing is fetched."""

import socket

import pytest

from endocrine.agents.gating.declared import declared_fault, fits_declared

PYDANTIC = {
    "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
    "properties": {"at": {"$ref": "#/$defs/Point"}, "to": {"anyOf": [{"$ref": "#/$defs/Point"}, {"type": "null"}]}},
    "required": ["at"],
    "type": "object",
}
ZOD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "tags": {"type": "array", "items": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}}
    },
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "arguments", "fits"),
    [
        ({}, {"any": 1}, True),
        (PYDANTIC, {"at": {"x": 1}}, True),
        (PYDANTIC, {"at": {"x": "1"}}, False),
        (PYDANTIC, {"at": {"x": 1}, "to": None}, True),
        (PYDANTIC, {"at": {"x": 1}, "to": {}}, False),
        (ZOD, {"tags": ["a"]}, True),
        (ZOD, {"tags": [1]}, False),
        (ZOD, {"other": 1}, False),
        (TREE, {"kids": [{"kids": []}]}, True),
        (TREE, {"kids": [{"kids": [], "x": 1}]}, False),
        ({"properties": {"n": {"type": "integer", "format": "int64"}}}, {"n": 2**40}, True),
        ({"properties": {"d": {"type": "string", "format": "date"}}}, {"d": "yesterday"}, False),
        ({"properties": {"p": {"type": "string", "pattern": "^(a+)+$"}}}, {"p": "a" * 5000 + "!"}, False),
        ({"$ref": "#"}, {}, False),  # never decided
    ],
)
def test_arguments_are_held_against_the_declared_schema(schema, arguments, fits):
    assert declared_fault(schema) is None
    assert fits_declared(schema, arguments) is fits


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "https://a.example/schema"}, "is not within the schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "$.properties.a: $ref"),
        ({"$ref": "#/$defs/A"}, "names nothing"),
        ({"$ref": "#/properties/a", "properties": {"a": {}}}, "is not within the schema"),
        ({"properties": {"a": {"$id": "https://a.example/"}}}, "$id is not supported"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "cannot be run in linear time"),
        ({"type": "obj"}, "not a JSON Schema"),
        ({"$dynamicRef": "#a"}, "$dynamicRef is not supported"),
        ({"description": "x" * 70_000}, "expected at most 65536"),
    ],
)
def test_a_schema_that_cannot_be_run_is_named_with_its_place_and_fits_nothing(schema, told):
    assert told in (declared_fault(schema) or "")
    assert fits_declared(schema, {}) is False


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for reference in ("https://a.example/s", "http://json-schema.org/draft-07/schema#", "urn:x", "//a.example/s"):
        assert fits_declared({"$id": "https://a.example/", "properties": {"a": {"$ref": reference}}}, {"a": 1}) is False


def test_a_hostile_value_costs_no_more_than_a_bounded_number_of_steps():
    wide = {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"}
    assert fits_declared(wide, {}) is False
