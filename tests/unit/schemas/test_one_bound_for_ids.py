"""An identity and an audit_id have one bound wherever they appear: 256 characters (records, additions)."""

import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.asyncapi.json_schemas import json_schema

NAMES = {"identity", "identity_ref", "user_id", "audit_id", "target_action_id"}


def bounds(schema, name=None):
    """(name, maxLength) of every text with one of these names, however deep."""
    if isinstance(schema, list):
        for item in schema:
            yield from bounds(item, name)
    elif isinstance(schema, dict):
        if name in NAMES and schema.get("type") == "string" and "const" not in schema:
            yield name, schema.get("maxLength")
        for key, value in schema.get("properties", {}).items():
            yield from bounds(value, key)
        for key in ("anyOf", "oneOf", "allOf", "items"):
            yield from bounds(schema.get(key), name)
        for value in schema.get("$defs", {}).values():
            yield from bounds(value)


@pytest.mark.parametrize("topic", CATALOGUE)
def test_every_identity_and_audit_id_may_have_256_characters(topic):
    assert {length for _, length in bounds(json_schema(CATALOGUE[topic], ""))} <= {256}


def test_the_bounds_were_really_read():
    assert dict(bounds(json_schema(CATALOGUE["feedback"], ""))) == {"identity": 256, "target_action_id": 256}
