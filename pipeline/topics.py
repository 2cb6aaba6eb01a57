"""The one catalogue of topics: name, model, key, cleanup, retention, owner.

Topic creation, validation, JSON Schemas, the AsyncAPI document, the ACL list and the console's pages come from here.
Names are without the prefix (`endocrine.` by default).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import TypeAdapter

from pipeline.settings import Settings
from schemas import (
    attribution,
    audits,
    bonds,
    checkpoints,
    commands,
    dead_letters,
    effects,
    feedback,
    interactions,
    models,
    modulations,
    observations,
    proofs,
    signals,
    tools,
)

DAY_MS = 86_400_000
Key = Literal["identity", "identity/primitive", "tool", "digest", "agent/partition", "key id", "dead letter", "effect"]


@dataclass(frozen=True)
class Topic:
    """One topic of the catalogue."""

    name: str
    model: Any
    """A pydantic model, TypedDict or union."""
    cleanup: Literal["delete", "compact"]
    summary: str
    owner: str | None = None
    """The agent that sends this topic's malformed records to its dead letters and its misfits to their place; None
    where no agent reads it."""
    key: Key = "identity"
    """What the record's key is. `identity/primitive` lies on the identity's partition all the same."""
    retention_ms: int = 30 * DAY_MS
    """Milliseconds, counted from the broker's append time; without effect on compacted topics."""
    coalesce: bool = False
    """Only the last record per key of a batch is spoken (compacted, read by no agent)."""
    identity_field: str = "identity"
    recall: bool = False
    """Readers recall recent ids of what others produce here, so that a producer's retry changes nothing. Not for
    observations: their series recognise copies by themselves."""
    ours: bool = False
    """Only our agents and connectors write it: a record without a valid seal is a dead letter, `unsealed`."""
    chained: bool = False
    """Each record names the hash of the one before it on its partition (pipeline.engine.chain); one agent writes it."""

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The compiled validator of the topic's values."""
        return TypeAdapter(self.model)

    @cached_property
    def validate(self) -> Callable[[Any], Any]:
        """The validator itself: the adapter's own method costs as much again on small records."""
        return self.adapter.validator.validate_python

    @cached_property
    def ce_type(self) -> bytes:
        """CloudEvents type of the topic's derived records."""
        return f"endocrine.{self.name}.v1".encode()

    @cached_property
    def ce_type_header(self) -> tuple[str, bytes]:
        """The header that says it."""
        return "ce_type", self.ce_type

    @cached_property
    def key_of(self) -> Callable[[str, Mapping[str, Any]], str]:
        """The key of a derived record, from its identity and value.

        >>> CATALOGUE["attribution-states"].key_of("ann", {"primitive": "motor.pace"})
        'ann/motor.pace'
        """
        return _KEYS[self.key]

    @property
    def dead_letters(self) -> str:
        """Name of the topic of its dead letters."""
        return f"{self.name}.dlq"


_TOPICS = [
    Topic(
        "interactions", interactions.Interaction, "delete", "a turn opened, a turn closed", "modulation", recall=True
    ),
    Topic("signals", signals.EndocrineSignal, "delete", "endocrine signals", "modulation", recall=True),
    Topic(
        "observations",
        observations.Observation,
        "delete",
        "BEHAVE observations",
        "attribution",
        identity_field="identity_ref",
    ),
    Topic("tool-calls", tools.ToolCall, "delete", "what a model asks for", "gating", recall=True),
    Topic("tool-results", tools.ToolResult, "delete", "what came of a tool call", "gating", recall=True),
    Topic("feedback", feedback.FeedbackCard, "delete", "feedback cards", "feedback", recall=True),
    Topic("detections", bonds.Detection, "delete", "entrainment detections with ULM vectors", "bonds", recall=True),
    Topic("commands", commands.AnyCommand, "delete", "operator commands", "bonds", recall=True),
    Topic(
        "policies",
        proofs.PublishedPolicy,
        "compact",
        "published policies, by digest",
        key="digest",
    ),
    Topic(
        "model-requests", models.ModelRequest, "delete", "calls to a language model", "audit", recall=True, ours=True
    ),
    Topic(
        "model-replies",
        models.ModelReply,
        "delete",
        "replies of a language model",
        "conversation",
        recall=True,
        ours=True,
    ),
    Topic(
        "effect-starts",
        effects.EffectStart,
        "delete",
        "effects that must not run twice, marked before they run",
        key="effect",
        ours=True,
    ),
    Topic(
        "modulations",
        modulations.Modulation,
        "delete",
        "parameters for a turn, with lineage and revision",
        "gating",
        ours=True,
    ),
    Topic("tool-decisions", tools.ToolDecision, "delete", "gate decisions", "analytics", ours=True),
    Topic("incidents", tools.Incident, "delete", "incidents", "modulation", ours=True),
    Topic("scheduled-tasks", tools.ScheduledTask, "delete", "what the scheduler tool was asked"),
    Topic("tool-analytics", tools.ToolAnalytics, "compact", "figures per tool", key="tool"),
    Topic("style-tables", feedback.StyleTable, "compact", "feedback style table per identity", "modulation", ours=True),
    Topic(
        "attribution-states",
        attribution.State,
        "compact",
        "state per identity and primitive",
        key="identity/primitive",
        coalesce=True,
    ),
    Topic("attribution-changes", attribution.Change, "delete", "transitions and suspicions", "suspicion", ours=True),
    Topic("bonds", bonds.Bond, "compact", "bond entry per user", identity_field="user_id", coalesce=True),
    Topic("bond-events", bonds.BondEvent, "delete", "a bond's life"),
    Topic("audits", audits.Audit, "delete", "one bundle per turn", retention_ms=365 * DAY_MS, chained=True),
    Topic(
        "journal",
        proofs.JournalEntry,
        "delete",
        "what each batch read, in which order",
        key="agent/partition",
        retention_ms=365 * DAY_MS,
    ),
    Topic(
        "checkpoints",
        checkpoints.Checkpoint,
        "delete",
        "where the audit chains and the journal stood, signed",
        key="key id",
        retention_ms=3650 * DAY_MS,
    ),
    Topic(
        "dlq-actions",
        dead_letters.DeadLetterAction,
        "delete",
        "who sent dead letters again or set them aside",
        key="dead letter",
        retention_ms=365 * DAY_MS,
    ),
]
CATALOGUE: Mapping[str, Topic] = {topic.name: topic for topic in _TOPICS}

_KEYS: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "identity": lambda identity, value: identity,
    "identity/primitive": lambda identity, value: f"{identity}/{value['primitive']}",
    "tool": lambda identity, value: str(value["tool"]),
    "digest": lambda identity, value: str(value["digest"]),
    "effect": lambda identity, value: str(value["effect_id"]),
    "agent/partition": lambda identity, value: f"{value['agent']}/{value['partition']}",
    "key id": lambda identity, value: str(value["key_id"]),
    "dead letter": lambda identity, value: f"{value['topic']}/{value['partition']}/{value['offset']}",
}


@dataclass(frozen=True)
class PhysicalTopic:
    """One topic as it stands on the broker: a topic of the catalogue, its dead letters, or an agent's changelog."""

    name: str
    """With the prefix."""
    partitions: int
    replication: int
    configs: Mapping[str, str]
    """The topic configs we set; the broker's defaults hold for the others."""
    summary: str


def changelog_name(settings: Settings, agent: str) -> str:
    """The topic an agent's state is remembered in."""
    return f"{settings.prefix}changelog.{agent}"


def physical_topics(settings: Settings, agent_names: Iterable[str]) -> list[PhysicalTopic]:
    """Every topic that must exist before a worker joins: the catalogue in its order, then changelogs by agent."""
    topics = []
    append_time = {"message.timestamp.type": "LogAppendTime"}
    for topic in CATALOGUE.values():
        configs = append_time | {"max.message.bytes": str(settings.topic_message_bytes)}
        retention = {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
        cleanup = retention if topic.cleanup == "delete" else {"cleanup.policy": "compact"}
        topics.append((topic.name, cleanup | configs, topic.summary))
        if topic.owner is not None:
            # What was just taken must fit with the headers that say why it was refused.
            larger = {"max.message.bytes": str(settings.sizes.room(topic.dead_letters))}
            topics.append((topic.dead_letters, retention | configs | larger, f"dead letters of {topic.name}"))
    for agent in agent_names:
        configs = append_time | {"max.message.bytes": str(settings.changelog_message_bytes)}
        configs |= {"cleanup.policy": "compact", "min.compaction.lag.ms": str(settings.compaction_lag_ms)}
        topics.append((f"changelog.{agent}", configs, f"what {agent} remembers"))
    return [
        PhysicalTopic(settings.prefix + name, settings.partitions, settings.replication, configs, summary)
        for name, configs, summary in topics
    ]
