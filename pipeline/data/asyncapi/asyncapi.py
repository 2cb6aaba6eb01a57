"""The AsyncAPI 3 document: channels, messages and operations of the whole system, from the catalogue and the agents."""

from collections.abc import Sequence
from typing import Any

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.dead_letter_topics import dead_letters_of
from endocrine.pipeline.data.asyncapi.headers import SCHEMAS
from endocrine.pipeline.data.asyncapi.json_schemas import components, subject
from endocrine.pipeline.kafka.topic_layout import PhysicalTopic, physical_topics
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.version import code_version

BINDING = "0.5.0"
"""Version of AsyncAPI's Kafka bindings."""
_KEYS = {
    "identity": "The canonical identity.",
    "effect": "Id of the effect; it lies on the identity's partition.",
    "identity/primitive": "Identity and primitive, joined by a slash; it lies on the identity's partition.",
    "subject/memory_id": "Subject and id of the memory, joined by a slash; it lies on the subject's partition.",
    "subject/category/key": "Subject, category and key, joined by slashes; it lies on the subject's partition.",
    "subject/slot": "Subject and slot, joined by a slash; it lies on the subject's partition.",
    "scope/name": "Scope and name in lower case, joined by a slash; it lies on the partition of `$registry`.",
    "a|b": "The two identities, sorted, as a JSON array; it lies on the first one's partition.",
    "tool": "Canonical name of the tool.",
    "digest": "Digest of the policy.",
    "rollout": "The word `policy`: all lie on one partition, in order.",
    "agent/partition": "Agent and partition number, joined by a slash.",
    "key id": "Id of the key that signed it.",
    "dead letter": "Topic, partition and offset of the dead letter, joined by slashes.",
}


def asyncapi(settings: Settings, agents: Sequence[Agent]) -> dict[str, Any]:
    """Return the document, the same for the same settings (prefix, partitions, replication, sizes) and code.

    It names no server: where the broker is belongs to a deployment. Changelogs are internal and left out.
    """
    topics = list(CATALOGUE.values())
    physical = {topic.name.removeprefix(settings.prefix): topic for topic in physical_topics(settings, ())}
    written = {target for agent in agents for target in agent.targets} | {"journal"}
    values, shared = components(topics)
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in topics:
        channels[topic.name] = _channel(topic.name, physical[topic.name])
        messages[topic.name] = _message(topic, settings.prefix, derived=topic.name in written)
        if topic.dead_letters in physical:
            channels[topic.dead_letters] = _channel(topic.dead_letters, physical[topic.dead_letters])
            messages[topic.dead_letters] = _dead_letter(topic)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Endocrine",
            "version": code_version(),
            "description": "A streaming regulation layer for LLM applications. Values are JSON objects, keys strings.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(agents, settings.group, channels),
        "components": {
            "messages": messages,
            # Names with a point cannot be those of a model or of a topic.
            "schemas": {f"value.{name}": schema for name, schema in values.items()} | shared | SCHEMAS,
        },
    }


def _channel(name: str, topic: PhysicalTopic) -> dict[str, Any]:
    configs: dict[str, Any] = {
        key: [value] if key == "cleanup.policy" else int(value) if value.removeprefix("-").isdigit() else value
        for key, value in topic.configs.items()
    }
    return {
        "address": topic.name,
        "title": name,
        "summary": topic.summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replication,
                "topicConfiguration": configs,
                "bindingVersion": BINDING,
            }
        },
    }


def _message(topic: Topic, prefix: str, *, derived: bool) -> dict[str, Any]:
    own = {"properties": {"ce_type": {"const": topic.ce_type.decode()}}}
    shared = {"$ref": f"#/components/schemas/headers.{'derived' if derived else 'produced'}"}
    return {
        "name": topic.name,
        "title": subject(topic, prefix),
        "summary": topic.summary,
        "contentType": "application/json",
        "headers": {"type": "object", "allOf": [shared, own]},
        "payload": {"$ref": f"#/components/schemas/value.{topic.name}"},
        "bindings": _key(_KEYS[topic.key]),
    }


def _dead_letter(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.dead_letters,
        "title": f"dead letter of {topic.name}",
        "summary": "The original bytes, key and headers of a record that could not be processed, with the reason.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/headers.dead-letter"},
        "payload": {"description": "The original bytes, which may be anything."},
        "bindings": {"kafka": {"bindingVersion": BINDING}},
    }


def _key(description: str) -> dict[str, Any]:
    key = {"type": "string", "minLength": 1, "description": description}
    return {"kafka": {"key": key, "bindingVersion": BINDING}}


def _operations(agents: Sequence[Agent], group: str, channels: dict[str, Any]) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for agent in agents:
        for source in agent.sources:
            operations[f"{agent.name}.receive.{source}"] = _operation("receive", agent, source) | {
                "bindings": {"kafka": {"groupId": {"type": "string", "const": group}, "bindingVersion": BINDING}}
            }
        owned = [dead_letters_of(source) for source in agent.sources if CATALOGUE[source].owner == agent.name]
        for target in (*agent.targets, "journal", *(name for name in owned if name in channels)):
            operations[f"{agent.name}.send.{target}"] = _operation("send", agent, target)
    return operations


def _operation(action: str, agent: Agent, topic: str) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "title": f"{agent.name} {'reads' if action == 'receive' else 'writes'} {topic}",
        "messages": [{"$ref": f"{channel}/messages/{topic}"}],
    }
