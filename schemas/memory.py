"""Topics of memory: `captured`, `memories`, `memory-events`, `opinions`, `candidates`, `reinforcements`,
`memory-orders`.

All are keyed by subject: an identity, or `project:` and a project's id. `memories` is keyed finer, for views only.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from endocrine.schemas.base import AuditId, Count, Id, Identity, Produced, Record, Share, Subject, Ts
from endocrine.schemas.vocabulary import (
    Finish,
    MemoryEventKind,
    MemorySource,
    MemoryStatus,
    MemoryType,
    Opinion,
)

MemoryId = Annotated[
    str,
    StringConstraints(pattern=r"^m-[0-9a-f]{24}$"),
    Field(description="Id of the memory: `m-` and 24 hexadecimal digits of the SHA-256 of what created it."),
]
Content = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    Field(description="Content of the memory; 1 to 2,000 characters, white space around it not counted."),
]
Slot = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$"),
    Field(description="What the memory gives the value of; of two values in force for one slot one is wrong."),
]
ConflictId = Annotated[
    str,
    StringConstraints(pattern=r"^c-[0-9a-f]{24}$"),
    Field(description="Id of the conflict: `c-` and 24 hexadecimal digits of the SHA-256 of what opened it."),
]
Remark = Annotated[str, StringConstraints(max_length=2000), Field(description="Why, for people.")]
Type = Annotated[MemoryType, Field(description="Kind of memory.")]
By = Annotated[Id, Field(description="Who or what did it: an operator, or a program and its version.")]


class Captured(Record):
    """A closed turn as memory reads it: under its identity, and once more under its project. It holds no prompt."""

    subject: Subject
    identity: Identity
    interaction_id: Annotated[Id, Field(description="Id of the turn; its `audit_id`.")]
    project: Annotated[Id | None, Field(description="Project of the turn; null where it has none.")]
    session_id: Annotated[Id | None, Field(description="Conversation; null where the opening was not seen.")]
    turn: Annotated[Count | None, Field(description="Number in its session; null where the opening was not seen.")]
    client: Annotated[Id | None, Field(description="Program that opened it; null where the opening was not seen.")]
    response: Annotated[str, Field(description="The answer that the user got.")]
    memories_used: Annotated[list[Any] | None, Field(description="Memories that the answer was made with.")]
    chunks_used: Annotated[list[Any] | None, Field(description="Snippets that the answer was made with.")]
    memory_write: Annotated[Share | None, Field(description="Strength with which it may become a memory.")] = None
    finish: Annotated[Finish | None, Field(description="How a turn that we answered ended; absent on others.")] = None
    reinforce: Annotated[bool, Field(description="Whether memories that the answer agrees with are reinforced.")]
    extract: Annotated[bool, Field(description="Whether candidates are extracted from the answer.")]
    created_at: Annotated[Ts | None, Field(description="When the turn opened; null where that was not seen.")]
    ts: Ts


class Source(Record):
    """Where a memory comes from; without one none is written."""

    kind: Annotated[MemorySource, Field(description="operator, interaction or import.")]
    interaction_id: Annotated[Id | None, Field(description="Turn that it was extracted from.")] = None
    identities: Annotated[list[Identity], Field(max_length=16, description="Whose turns it comes from.")] = Field(
        default_factory=list
    )
    rule: Annotated[Id | None, Field(description="Extraction rule of the policy.")] = None
    chunk: Annotated[Id | None, Field(description="Snippet that it comes from.")] = None
    exporter: Annotated[Id | None, Field(description="Tool whose fact it is.")] = None
    artifact: Annotated[Id | None, Field(description="What the tool read it from.")] = None


class Memory(Record):
    """One memory as it is now."""

    memory_id: MemoryId
    subject: Subject
    type: Type
    content: Content
    slot: Slot | None
    value: Annotated[str | None, Field(description="Value for the slot, which conflicts compare; null without one.")]
    status: Annotated[MemoryStatus, Field(description="candidate, active, superseded or invalid.")]
    confidence: Annotated[Share, Field(description="Confidence, 0 to 1; reinforcement adds to it.")]
    strength: Annotated[
        Share | None,
        Field(description="By consensus of opinions, 0.1 to 1; before any: `memory_write` of its turn, if known."),
    ]
    reference_count: Annotated[Count, Field(description="Turns that reinforced it.")]
    last_referenced_at: Annotated[Ts | None, Field(description="Latest turn that reinforced it.")]
    source: Annotated[Source, Field(description="Where it comes from.")]
    supersedes: Annotated[MemoryId | None, Field(description="Memory that it took the place of.")]
    superseded_by: Annotated[MemoryId | None, Field(description="Memory that took its place.")]
    open_conflict: Annotated[ConflictId | None, Field(description="Open conflict that it is a member of.")]
    version: Annotated[Count, Field(description="1 for the first; each change adds 1.")]
    created_ts: Ts
    by: By
    ts: Ts


class MemoryEvent(Record):
    """What happened to a memory. `refused`: a command had no effect. `dropped`: a candidate was not taken."""

    kind: Annotated[MemoryEventKind, Field(description="What happened.")]
    subject: Subject
    memory_id: Annotated[MemoryId | None, Field(description="Null where a candidate was dropped.")]
    type: Annotated[MemoryType | None, Field(description="Its type; null where the memory is not known.")]
    content: Annotated[Content | None, Field(description="Its content after it; null where it did not change.")]
    slot: Slot | None
    value: Annotated[str | None, Field(description="Its value for the slot.")]
    old_status: Annotated[MemoryStatus | None, Field(description="Status before; null for a new one.")]
    new_status: Annotated[MemoryStatus | None, Field(description="Status after.")]
    confidence_before: Annotated[Share | None, Field(description="Confidence before.")]
    confidence_after: Annotated[Share | None, Field(description="Confidence after.")]
    interaction_id: Annotated[Id | None, Field(description="Turn that caused it.")] = None
    matched: Annotated[Count | None, Field(description="Of a reinforcement: its words found in the answer.")] = None
    total: Annotated[Count | None, Field(description="Of a reinforcement: its words.")] = None
    opinion: Annotated[Opinion | None, Field(description="Of a vote: for or against; else absent.")] = None
    strength: Annotated[Share | None, Field(description="Of a vote: the strength after it; else absent.")] = None
    votes_for: Annotated[Count | None, Field(description="Of a vote: opinions for it, one a voter.")] = None
    votes_total: Annotated[Count | None, Field(description="Of a vote: all opinions, one a voter.")] = None
    capped: Annotated[bool, Field(description="True: not all that this depends on is kept; else absent.")] = False
    reason: Annotated[str | None, Field(description="Why: a person's words, or the name of a refusal.")]
    by: By
    ts: Ts


class Candidate(Record):
    """Something that was extracted, before it is a memory."""

    subject: Subject
    memory_id: MemoryId
    type: Type
    content: Content
    slot: Slot | None
    confidence: Annotated[Share, Field(description="Confidence that it begins with.")]
    strength: Annotated[Share | None, Field(description="`memory_write` of its turn, if known.")]
    source: Annotated[Source, Field(description="Where it comes from.")]
    capped: Annotated[bool, Field(description="True: the subject has more than duplicates are sought in.")] = False
    by: By
    ts: Ts


class Reinforcement(Record):
    """An answer that a memory's words were found in."""

    subject: Subject
    memory_id: MemoryId
    interaction_id: Annotated[AuditId, Field(description="Turn whose answer it was; counts once per memory.")]
    matched: Annotated[Count, Field(description="Words of the memory that the answer has.")]
    total: Annotated[Count, Field(description="Words of the memory.")]
    capped: Annotated[bool, Field(description="True: the subject has more than is looked at; else absent.")] = False
    by: By
    ts: Ts


class MemoryOpinion(Produced):
    """What somebody holds of a memory. The last one of each voter counts; it changes no status."""

    subject: Subject
    memory_id: MemoryId
    opinion: Annotated[Opinion, Field(description="for: it holds; against: it does not.")]
    confidence: Annotated[Share, Field(description="How sure the voter is of that, 0 to 1.")]
    by: By
    ts: Ts


class CreateOrder(Record):
    """Create a candidate, from a tool's fact."""

    kind: Literal["create"]
    subject: Subject
    memory_id: MemoryId
    type: Type
    content: Content
    slot: Slot | None
    confidence: Annotated[Share, Field(description="Confidence that it begins with.")]
    source: Annotated[Source, Field(description="Where it comes from.")]
    by: By
    ts: Ts


class ActivateOrder(Record):
    """It won a conflict: it becomes active."""

    kind: Literal["activate"]
    subject: Subject
    memory_id: MemoryId
    supersedes: Annotated[MemoryId | None, Field(description="Memory that it takes the place of.")]
    conflict_id: ConflictId
    by: By
    ts: Ts


class RetireOrder(Record):
    """It lost a conflict: an active one is superseded, a candidate becomes invalid."""

    kind: Literal["retire"]
    subject: Subject
    memory_id: MemoryId
    superseded_by: Annotated[MemoryId | None, Field(description="Memory that won; null where trusted state did.")]
    conflict_id: ConflictId
    by: By
    ts: Ts


MemoryOrder = Annotated[CreateOrder | ActivateOrder | RetireOrder, Field(discriminator="kind")]


class ConflictMark(Record):
    """Whether a memory is a member of an open conflict; sent when that changes."""

    subject: Subject
    memory_id: MemoryId
    conflict_id: Annotated[ConflictId | None, Field(description="The conflict; null: of none any more.")]
    other_active: Annotated[bool, Field(description="Another member is active: it cannot be promoted.")]
    by: By
    ts: Ts
