"""Schemas of functions that a request declares."""

import pytest

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
