"""JSON Schemas (Draft 2020-12) of the values on each topic, from the very models that validate them.

One difference remains between schema and validator: JSON Schema calls `1.0` an integer, we do not.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from endocrine.pipeline.core.catalogue import Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def subject(topic: Topic, prefix: str) -> str:
    """Return the subject of the topic's values in a schema registry: the topic's full name and `-value`."""
    return f"{prefix}{topic.name}-value"


def json_schema(topic: Topic, prefix: str) -> dict[str, Any]:
    """Return the schema of one topic's values, complete in itself; `title` is the subject, `$id` the same for any
    prefix."""
    schema: dict[str, Any] = _plain(topic.adapter.json_schema(by_alias=True))
    described = {"description": topic.summary} | schema
    return (
        {"$schema": DIALECT, "$id": f"urn:endocrine:{topic.name}-value"} | described | {"title": subject(topic, prefix)}
    )


def components(topics: Iterable[Topic]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return schemas for one document: those of the topics by name, and the parts they share, to be put in
    `components.schemas` side by side."""
    inputs = [(topic.name, "validation", topic.adapter) for topic in topics]
    roots, shared = TypeAdapter.json_schemas(inputs, by_alias=True, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    values = {name: _plain(schema) for (name, _), schema in roots.items()}
    return values, _plain(shared.get("$defs", {}))


def _plain(schema: Any) -> Any:
    """Without OpenAPI's `discriminator`: it is no JSON Schema, AsyncAPI means another thing by it, and the constant
    `kind` of each branch says the same."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    openapi = isinstance(schema.get("discriminator"), dict) and "oneOf" in schema
    return {key: _plain(value) for key, value in schema.items() if not (openapi and key == "discriminator")}
