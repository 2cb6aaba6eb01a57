"""The one catalogue of topics: name, model, key, cleanup, retention, owner.

Topic creation, validation, JSON Schemas, the AsyncAPI document, the ACL list and the console's pages come from here.
Names are without the prefix (`endocrine.` by default).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.core import certain
from endocrine.pipeline.core.dead_letter_topics import dead_letters_of
from endocrine.schemas import (
    attribution,
    audits,
    bonds,
    checkpoints,
    commands,
    conflicts,
    context,
    dead_letters,
    effects,
    erasures,
    feedback,
    images,
    interactions,
    linkage,
    memory,
    models,
    modulations,
    names,
    observations,
    proofs,
    rekeys,
    rollouts,
    signals,
    tools,
    trusted_state,
)

DAY_MS = 86_400_000
FOREVER = -1
"""Retention of a topic from which nothing is ever removed."""
Key = Literal[
    "identity",
    "identity/primitive",
    "subject/memory_id",
    "subject/category/key",
    "subject/slot",
    "scope/name",
    "a|b",
    "tool",
    "digest",
    "rollout",
    "agent/partition",
    "key id",
    "dead letter",
    "effect",
]


@dataclass(frozen=True)
class Topic:
    """One topic of the catalogue.

    >>> CATALOGUE["attribution-states"].key_of("ann", {"primitive": "motor.pace"})
    'ann/motor.pace'
    """

    name: str
    model: Any
    """A pydantic model, TypedDict or union."""
    cleanup: Literal["delete", "compact"]
    summary: str
    owner: str | None = None
    """The agent that sends this topic's malformed records to its dead letters and its misrouted records to their place;
    None where no agent reads it."""
    key: Key = "identity"
    """What the record's key is. A key finer than the identity, or than the subject, lies on its partition all the same;
    Read takes such a record for a misrouted one, so that no agent can have the topic as a source."""
    retention_ms: int = 30 * DAY_MS
    """Milliseconds, counted from the broker's append time, or `FOREVER`; without effect on compacted topics."""
    segment_ms: int | None = None
    """Milliseconds after which a segment is closed, so that it can be deleted; None: as the broker has it, 7 days."""
    passing: bool = False
    """What it holds is only on its way: no agent reads it, so replay needs it not, and a backup does not hold it."""
    coalesce: bool = False
    """Only the last record per key of a batch is produced (compacted, read by no agent)."""
    identity_field: str = "identity"
    """The field that names whose record it is: an identity, a subject (an identity or `project:` and a project's id),
    or a token of ours (`$...`)."""
    takes_subjects: bool = False
    """Names that begin with `project:` or `$` are expected too. On any other topic, which is about people, Read makes
    dead letters of them: `reserved_name`."""
    producer_dedup: bool = False
    """Readers recall recent ids of what others produce here, so that a producer's retry changes nothing. Not for
    observations: their series recognise copies by themselves."""
    ours: bool = False
    """Only our agents and connectors write it: a record without a valid seal is a dead letter, `unsealed`."""
    chained: bool = False
    """Each record names the hash of the one before it on its partition (core.hash_chain); one agent writes it."""
    unordered: bool = False
    """It does not matter where this topic's records come among those of others: no reader asks for its end before it
    goes on with theirs. For what is rare: an agent that is never sure would ask before every batch."""
    certain: Callable[[Any], Any] | None = None
    """Returns what the model would make of decoded JSON, where that is certain at a glance, else None: then the model
    judges (core.certain). It saves time, and decides nothing."""

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
        """The header that holds it."""
        return "ce_type", self.ce_type

    @cached_property
    def key_of(self) -> Callable[[str, Mapping[str, Any]], str]:
        """The key of a derived record, from its identity and value."""
        return _KEYS[self.key]

    def identity_in(self, key: str) -> str:
        """Return the identity or subject in a record's key, where no value holds it: a tombstone's. The finer parts of
        a key hold no slash, an identity may.

        >>> CATALOGUE["attribution-states"].identity_in("ops/ann/motor.pace")
        'ops/ann'
        """
        if self.key == "a|b":
            return str(orjson.loads(key)[0])
        return key.rsplit("/", _FINER.get(self.key, 0))[0]

    @property
    def dead_letters(self) -> str:
        """Name of the topic of its dead letters."""
        return dead_letters_of(self.name)


_TOPICS = [
    Topic(
        "interactions",
        interactions.Interaction,
        "delete",
        "a turn opened, a turn closed",
        "modulation",
        producer_dedup=True,
    ),
    Topic("signals", signals.EndocrineSignal, "delete", "endocrine signals", "modulation", producer_dedup=True),
    Topic(
        "observations",
        observations.Observation,
        "delete",
        "BEHAVE observations",
        "attribution",
        identity_field="identity_ref",
        certain=certain.observation,
    ),
    Topic("tool-calls", tools.ToolCall, "delete", "what a model asks for", "gating", producer_dedup=True),
    Topic("tool-results", tools.ToolResult, "delete", "results of tool calls", "gating", producer_dedup=True),
    Topic("feedback", feedback.FeedbackCard, "delete", "feedback cards", "feedback", producer_dedup=True),
    Topic(
        "detections", bonds.Detection, "delete", "entrainment detections with ULM vectors", "bonds", producer_dedup=True
    ),
    Topic(
        "commands",
        commands.AnyCommand,
        "delete",
        "operator commands",
        "bonds",
        producer_dedup=True,
        takes_subjects=True,
    ),
    Topic(
        "policies",
        proofs.PublishedPolicy,
        "compact",
        "published policies, by digest",
        key="digest",
    ),
    Topic(
        "policy-rollouts",
        rollouts.PolicyRollout,
        "delete",  # on a compacted topic, whoever may write it could take a rollout away again
        "which policy is in force, and how it came to be",
        key="rollout",
        retention_ms=FOREVER,
        ours=True,
    ),
    Topic(
        "model-requests",
        models.ModelRequest,
        "delete",
        "calls to a language model",
        "audit",
        producer_dedup=True,
        ours=True,
    ),
    Topic(
        "model-replies",
        models.ModelReply,
        "delete",
        "replies of a language model",
        "conversation",
        producer_dedup=True,
        ours=True,
    ),
    Topic(
        "model-chunks",
        models.ModelChunk,
        "delete",
        "text of windowed replies while it comes; read by no agent",
        retention_ms=3_600_000,
        ours=True,
    ),
    Topic(
        "images",
        images.ImagePiece,
        "delete",
        "bytes of images on their way to a model; read by no agent",
        retention_ms=DAY_MS,  # as long as a turn may wait for a person
        segment_ms=DAY_MS // 4,
        ours=True,
        passing=True,
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
    Topic(
        "late-advice",
        modulations.LateAdvice,
        "delete",
        "turns whose application was given strict defaults, because their parameters came too late",
        "audit",
        ours=True,
        unordered=True,
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
    Topic("bond-events", bonds.BondEvent, "delete", "a bond's life", "modulation", ours=True),
    Topic(
        "trusted-states",
        trusted_state.TrustedState,
        "compact",
        "what operators state about a project or an identity",
        key="subject/category/key",
        coalesce=True,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "state-events",
        trusted_state.StateEvent,
        "delete",
        "what commands did to trusted state",
        "conflicts",
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "captured",
        memory.Captured,
        "delete",
        "closed turns, as memory reads them",
        "reflection",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "memories",
        memory.Memory,
        "compact",
        "memories as they are",
        key="subject/memory_id",
        coalesce=True,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "memory-events",
        memory.MemoryEvent,
        "delete",
        "a memory's life",
        "reflection",
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "opinions",
        memory.MemoryOpinion,
        "delete",
        "what people and programs hold of memories",
        "memory",
        identity_field="subject",
        takes_subjects=True,
        producer_dedup=True,
    ),
    Topic(
        "candidates",
        memory.Candidate,
        "delete",
        "what was extracted from answers, before it is a memory",
        "memory",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "reinforcements",
        memory.Reinforcement,
        "delete",
        "memories that an answer agrees with",
        "memory",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "memory-orders",
        memory.MemoryOrder,
        "delete",
        "what the end of a conflict, or a tool's fact, makes of a memory",
        "memory",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "conflict-marks",
        memory.ConflictMark,
        "delete",
        "which memories are in an open conflict",
        "memory",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "conflicts",
        conflicts.Conflict,
        "compact",
        "the latest conflict of each slot",
        key="subject/slot",
        coalesce=True,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "conflict-events",
        conflicts.ConflictEvent,
        "delete",
        "a conflict's life",
        identity_field="subject",
        takes_subjects=True,
    ),
    Topic(
        "facts",
        conflicts.Fact,
        "delete",
        "what tools export about a subject",
        "conflicts",
        identity_field="subject",
        takes_subjects=True,
        producer_dedup=True,
    ),
    Topic(
        "context-packs",
        context.ContextPack,
        "delete",
        "what models were given beside prompts, and what it was made of",
    ),
    Topic(
        "registry",
        names.RegisteredName,
        "compact",
        "registered ids and their aliases",
        key="scope/name",
        coalesce=True,
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "registry-events",
        names.RegistryEvent,
        "delete",
        "what became of commands to the registry of names",
        retention_ms=365 * DAY_MS,
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "rekeys",
        rekeys.Rekey,
        "delete",
        "what became of states that were moved to another subject",
        retention_ms=365 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "erasures",
        commands.StateCommand,
        "delete",
        "erasures and moves of states, for agents that read no commands",
        "attribution",
        takes_subjects=True,
        unordered=True,
    ),
    Topic(
        "erasure-events",
        erasures.ErasureEvent,
        "delete",
        "what became of states that were to be erased",
        retention_ms=7 * DAY_MS,
        identity_field="subject",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "ops-events",
        erasures.OpsEvent,
        "delete",
        "drills and erasures; read by no agent",
        retention_ms=365 * DAY_MS,
        takes_subjects=True,
    ),
    Topic(
        "link-evidence",
        linkage.Evidence,
        "delete",
        "values that may link identities, under what equal or near values share",
        "meeting",
        identity_field="token",
        takes_subjects=True,
        ours=True,
    ),
    Topic(
        "link-hints",
        linkage.Hint,
        "delete",
        "pairs of identities that showed one value, or near ones",
        "linkage",
        identity_field="a",
        ours=True,
    ),
    Topic(
        "identity-links",
        linkage.IdentityLink,
        "compact",
        "links of identities as they are: advice",
        key="a|b",
        coalesce=True,
        identity_field="a",
        ours=True,
    ),
    Topic(
        "link-events",
        linkage.LinkEvent,
        "delete",
        "a link's life",
        retention_ms=365 * DAY_MS,
        identity_field="a",
        ours=True,
    ),
    Topic("audits", audits.Audit, "delete", "one bundle per turn", retention_ms=365 * DAY_MS, chained=True),
    Topic(
        "content-keys",
        proofs.ContentKey,
        "compact",
        "keys of content by subject, wrapped; or that one was destroyed",
        key="key id",
        ours=True,
    ),
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
        "the ends of the audit chains and of the journal, signed",
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


def lasting_topics() -> list[str]:
    """Return every topic of which replay and backups have need, dead letters included."""
    kept = [topic for topic in _TOPICS if not topic.passing]
    return [*(topic.name for topic in kept), *(topic.dead_letters for topic in kept if topic.owner)]


_KEYS: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "identity": lambda identity, value: identity,
    "identity/primitive": lambda identity, value: f"{identity}/{value['primitive']}",
    "subject/memory_id": lambda subject, value: f"{subject}/{value['memory_id']}",
    "subject/category/key": lambda subject, value: f"{subject}/{value['category']}/{value['key']}",
    "subject/slot": lambda subject, value: f"{subject}/{value['slot']}",
    "scope/name": lambda identity, value: f"{value['scope']}/{value['name'].lower()}",
    "a|b": lambda identity, value: canonical_json([value["a"], value["b"]]).decode(),
    "tool": lambda identity, value: str(value["tool"]),
    "digest": lambda identity, value: str(value["digest"]),
    "rollout": lambda identity, value: "policy",
    "effect": lambda identity, value: str(value["effect_id"]),
    "agent/partition": lambda identity, value: f"{value['agent']}/{value['partition']}",
    "key id": lambda identity, value: str(value["key_id"]),
    "dead letter": lambda identity, value: f"{value['topic']}/{value['partition']}/{value['offset']}",
}
_FINER: Mapping[Key, int] = {
    "identity/primitive": 1,
    "subject/memory_id": 1,
    "subject/category/key": 2,
    "subject/slot": 1,
}
"""Parts after the identity or subject in a key."""
