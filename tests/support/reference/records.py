"""The page of all records: each topic with writers, readers, key, retention, and the fields of its values. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.catalogue import CATALOGUE, DAY_MS, FOREVER, Topic
from endocrine.pipeline.data.asyncapi.headers import SCHEMAS
from endocrine.pipeline.data.asyncapi.json_schemas import json_schema
from reference.markdown import GENERATED, anchor, table
from reference.participants import readers, writers
from reference.shapes import Schema, shape

KEYS = {
    "identity": "the identity",
    "identity/primitive": "identity and primitive, joined by a slash; on the identity's partition",
    "subject/memory_id": "subject and id of the memory, joined by a slash; on the subject's partition",
    "subject/category/key": "subject, category and key, joined by slashes; on the subject's partition",
    "subject/slot": "subject and slot, joined by a slash; on the subject's partition",
    "scope/name": "scope and name in lower case, joined by a slash; on the partition of `$registry`",
    "a|b": "the two identities, sorted, as a JSON array; on the first one's partition",
    "tool": "canonical name of the tool",
    "digest": "digest of the policy",
    "rollout": "the word `policy`, so that all lie on one partition, in order",
    "agent/partition": "agent and partition number, joined by a slash",
    "key id": "id of the signing key",
    "dead letter": "topic, partition and offset of the dead letter, joined by slashes",
    "effect": "id of the effect; on the identity's partition",
}
_HEAD = """\
# Records

Every topic, who writes and reads it, and the fields of its values. Values are JSON objects, keys are strings; topic
names are without the prefix (`endocrine.` as shipped). How a program writes and reads them:
[applications](../applications.md). The same as JSON Schemas and an AsyncAPI 3 document: `endocrine schemas export DIR`.

- Records are strict: an unknown field, a wrong type, NaN or a value out of range makes a dead letter on `<topic>.dlq`,
  which names the field and never its content.
- Fields may be added, none is renamed or dropped. A field that is not required may be left out; where the type names
  null, null counts as left out.
- `ts` is event time, which the producer says. Topics carry the broker's append time as record timestamp, and retention
  counts from it."""
_FIELDS = ("field", "type", "required", "meaning")


def records_page(agents: Sequence[Agent]) -> str:
    """The page, for the catalogue and these agents."""
    schemas = {topic.name: json_schema(topic, "") for topic in CATALOGUE.values()}
    lines = [GENERATED, *_HEAD.splitlines(), "", "## Topics", ""]
    lines += table(
        ("topic", "holds", "written by", "read by"),
        (
            (
                f"[{topic.name}](#{anchor(topic.name)})",
                topic.summary,
                ", ".join(writers(topic.name, agents)),
                ", ".join(readers(topic.name, agents)) or "whoever wants to",
            )
            for topic in CATALOGUE.values()
        ),
    )
    for topic in CATALOGUE.values():
        lines += ["", f"## {topic.name}", "", *_topic(topic, schemas[topic.name], agents)]
    lines += ["", "## Parts", "", "Objects inside records."]
    for name, part in sorted(_parts(schemas).items()):
        lines += ["", f"### {name}", "", *_described(part), *table(_FIELDS, _fields(part))]
    lines += ["", "## Headers", ""]
    lines += ["UTF-8 text. Applications may send none of them; `ce_id` names a record where its value has no `id`."]
    for name, headers in SCHEMAS.items():
        title = name.removeprefix("headers.").replace("-", " ")
        lines += ["", f"### Headers of {title} records", "", *_described(headers), *table(_FIELDS, _fields(headers))]
    return "\n".join(lines) + "\n"


def meaning(schema: Schema) -> str:
    """What a field says it means, itself or by its type; empty where neither does."""
    if "description" in schema:
        return str(schema["description"])
    options = schema.get("anyOf") or schema.get("oneOf") or ()
    return next((str(option["description"]) for option in options if "description" in option), "")


def variants(schema: Schema) -> Mapping[str, Schema]:
    """The objects that a topic's value may be, by title: one, or one for each `kind`."""
    definitions = schema.get("$defs", {})
    options = schema.get("oneOf") or schema.get("anyOf") or [schema]
    found = [definitions[option["$ref"].rpartition("/")[2]] if "$ref" in option else option for option in options]
    return {_name(one): one for one in found}


def _name(schema: Schema) -> str:
    kind = schema.get("properties", {}).get("kind", {}).get("const")
    return f"kind: {kind}" if kind else ""


def _parts(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Objects that records share or hold, by name, without those that are records themselves."""
    found: dict[str, Schema] = {}
    for schema in schemas.values():
        records = {id(record) for record in variants(schema).values()}
        found |= {name: part for name, part in schema.get("$defs", {}).items() if id(part) not in records}
    return found


def _topic(topic: Topic, schema: Schema, agents: Sequence[Agent]) -> Iterator[str]:
    yield f"{topic.summary[0].upper()}{topic.summary[1:]}."
    yield ""
    yield f"- Written by {', '.join(writers(topic.name, agents))}."
    yield f"- Read by {', '.join(readers(topic.name, agents)) or 'whoever wants to'}."
    yield f"- Key: {KEYS[topic.key]}" + (f", which is `{topic.identity_field}`." if topic.key == "identity" else ".")
    days = "for ever" if topic.retention_ms == FOREVER else f"{topic.retention_ms // DAY_MS:,} days"
    yield "- Kept: " + (f"{days}." if topic.cleanup == "delete" else "the last record of each key (compacted).")
    if topic.owner:
        yield f"- Dead letters: `{topic.dead_letters}`, written by {topic.owner}."
    if topic.ours:
        yield "- Only Endocrine writes it: a record without a valid seal is a dead letter (`unsealed`)."
    for name, variant in variants(schema).items():
        yield ""
        if name:
            yield f"### `{topic.name}`, {name}"
            yield ""
        yield from _described(variant)
        yield from table(_FIELDS, _fields(variant))


def _described(schema: Schema) -> Iterator[str]:
    if "description" in schema:
        yield from str(schema["description"]).splitlines()
        yield ""


def _fields(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        yield f"`{name}`", shape(field), _needed(name in required, field), meaning(field)


def _needed(required: bool, field: Mapping[str, Any]) -> str:
    if required:
        return "yes"
    default = field.get("default")
    return "no" if default is None else f"no; `{default}`".replace("''", "empty")
