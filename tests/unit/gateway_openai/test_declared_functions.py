"""Schemas of functions that a request declares."""

import pytest

from endocrine.agents.gating.declared import declared_fault, fits_declared
from endocrine.agents.gating.patterns import checked
from endocrine.pipeline.gateway.openai.functions import EMPTY, schema_of
from endocrine.pipeline.gateway.openai.refusals import Refused


def refused(schema):
    with pytest.raises(Refused) as caught:
        schema_of(schema, "tools[0].function.parameters")
    assert caught.value.code == "invalid_function_parameters"
    assert caught.value.param == "tools[0].function.parameters"
    return caught.value.message


def test_references_within_the_schema_are_written_out():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "where": {"$ref": "#/$defs/Place", "description": "Where."},
            "all": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
            "$ref": {"type": "string"},
            "kind": {"enum": [{"$ref": "data"}]},
        },
        "$defs": {"Place": {"type": "object", "properties": {"at": {"$ref": "#/$defs/Point"}}},
                  "Point": {"type": "number", "format": "double"}},
    }  # fmt: skip
    place = {"type": "object", "properties": {"at": {"type": "number"}}}
    found = schema_of(schema, "x")
    assert found == {
        "type": "object",
        "properties": {
            "where": {**place, "description": "Where."},
            "all": {"type": "array", "items": place},
            "$ref": {"type": "string"},
            "kind": {"enum": [{"$ref": "data"}]},
        },
    }
    checked(found)


def test_what_stands_beside_a_reference_holds_too():
    schema = {"properties": {"a": {"$ref": "#/$defs/A", "maxLength": 3}}, "$defs": {"A": {"type": "string"}}}
    assert schema_of(schema, "x")["properties"]["a"] == {"allOf": [{"type": "string"}, {"maxLength": 3}]}


@pytest.mark.parametrize(
    "reference", ["https://evil.test/schema", "file:///etc/passwd", "//evil.test", "other.json", 5]
)
def test_a_reference_to_anything_else_is_refused(reference):
    assert "another document" in refused({"type": "object", "properties": {"a": {"$ref": reference}}})


def test_a_reference_that_leads_nowhere_or_to_itself_is_refused():
    assert "nothing" in refused({"$ref": "#/$defs/A"})
    loop = {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}}
    assert "itself" in refused(loop)


def test_references_cannot_explode():
    definitions = {f"L{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/L{n + 1}"} for k in "abcd"}}
                   for n in range(20)}  # fmt: skip
    definitions["L20"] = {"type": "string"}
    assert "too large" in refused({"$ref": "#/$defs/L0", "$defs": definitions})


def test_patterns_that_cannot_run_in_linear_time_are_refused():
    assert "RE2" in refused({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a)\\1"}}})


def test_schemas_are_bounded():
    assert "KiB" in refused({"type": "object", "description": "x" * 70_000})
    deep = {"type": "object"}
    for _ in range(60):
        deep = {"type": "object", "properties": {"a": deep}}
    assert "deep" in refused(deep)
    assert "object" in refused({"type": "string"})


def test_a_function_that_takes_nothing_has_an_empty_schema():
    assert schema_of(None, "x") == schema_of({}, "x") == EMPTY


ZOD_EMAIL = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
"""As zod 4 writes `z.email()`."""


@pytest.mark.parametrize(
    ("written", "good", "bad"),
    [
        ({"type": "string", "format": "email", "pattern": ZOD_EMAIL}, "ann@a.example", "ann"),
        ({"type": "string", "pattern": r"^[\u4e00-\u9fa5]+$"}, "茶", "tea"),
        ({"type": "string", "pattern": r"^\ud83d\ude00$"}, "😀", "x"),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", 1]),
        ({"type": "array", "items": [{"type": "string"}, {"type": "number"}], "maxItems": 2}, ["a", 1], [1, "a"]),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 1, 0),
        ({"type": "number", "maximum": 9, "exclusiveMaximum": True, "exclusiveMinimum": False}, -5, 9),
        ({"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]*$"}, "QQ", "!"),
        ({"type": "object", "patternProperties": {r"^\u0078_": {"type": "integer"}}}, {"x_a": 1}, {"x_a": "1"}),
    ],
)
def test_what_libraries_write_is_taken_and_what_it_forbids_stays_forbidden(written, good, bad):
    schema = schema_of({"type": "object", "properties": {"it": written}}, "place")
    assert declared_fault(schema) is None
    assert fits_declared(schema, {"it": good})
    assert not fits_declared(schema, {"it": bad})


def test_a_schema_that_is_one_reference_to_its_definitions_is_that_definition():
    """As zod-to-json-schema writes one with a name; providers want `type: object` at the top."""
    found = schema_of({"$ref": "#/definitions/X", "definitions": {"X": {"type": "object", "properties": {}}}}, "place")
    assert found == {"type": "object", "properties": {}}


def test_a_property_may_have_the_name_of_an_annotation_or_of_definitions():
    names = ("contentEncoding", "definitions", "$schema", "items", "pattern")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}
    assert schema_of(schema, "place") == schema


def test_a_pattern_that_cannot_run_is_refused_where_no_format_says_the_same():
    for more in ({}, {"format": "no-such-format"}):
        written = {"type": "string", "pattern": ZOD_EMAIL, **more}
        with pytest.raises(Refused, match="linear time"):
            schema_of({"type": "object", "properties": {"it": written}}, "place")


def test_a_reference_to_the_whole_schema_is_called_recursive():
    with pytest.raises(Refused, match="recursive"):
        schema_of({"type": "object", "properties": {"it": {"$ref": "#"}}}, "place")
