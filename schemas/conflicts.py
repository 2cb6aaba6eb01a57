"""Topics `facts`, `conflicts` and `conflict-events`: values that disagree about one slot of a subject."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Id, Produced, Record, Subject, Ts
from endocrine.schemas.memory import By, ConflictId, Content, Slot
from endocrine.schemas.vocabulary import (
    ConflictAction,
    ConflictEventKind,
    ConflictLayer,
    ConflictStatus,
)

MemberId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(description="Id of a memory, or `state:<category>/<key>` of trusted state."),
]


class Fact(Produced):
    """What a tool exports about a subject, by that tool's own authority. Nothing is written back to it."""

    exporter: Annotated[Id, Field(description="The tool.")]
    exporter_version: Annotated[Id, Field(description="Its version.")]
    exported_at: Annotated[Ts, Field(description="When it exported this, seconds since 1970-01-01 UTC.")]
    subject: Subject
    slot: Slot
    value: Content
    source_artifact: Annotated[Id, Field(description="What the tool read it from: a file, a page, a part number.")]
    ts: Ts


class Member(Record):
    """One value in force, or that would be, for a slot."""

    layer: Annotated[ConflictLayer, Field(description="Whose value it is; in the order of authority.")]
    id: MemberId
    value: Annotated[str, Field(description="Its value.")]
    status: Annotated[Literal["active", "candidate"], Field(description="active or candidate.")]
    since: Ts


Members = Annotated[list[Member], Field(max_length=16, description="Members, in order of authority.")]


class Conflict(Record):
    """The latest conflict of a slot as it is now."""

    conflict_id: ConflictId
    subject: Subject
    slot: Slot
    status: Annotated[ConflictStatus, Field(description="open, resolved or dismissed.")]
    members: Members
    preferred: Annotated[MemberId | None, Field(description="The member that authority puts first: advice.")]
    action: Annotated[ConflictAction | None, Field(description="What ended it; null while it is open.")]
    winner: Annotated[MemberId | None, Field(description="The member that won, where one did.")]
    reason: Annotated[str | None, Field(description="Why, in the words of who resolved it.")]
    capped: Annotated[bool, Field(description="True: the slot had more members than are kept; else absent.")] = False
    opened_ts: Ts
    by: By
    ts: Ts


class ConflictEvent(Record):
    """What happened to a conflict. `refused`: a command had no effect, and why."""

    kind: Annotated[ConflictEventKind, Field(description="What happened.")]
    subject: Subject
    slot: Slot
    conflict_id: Annotated[Id, Field(description="The conflict; of a refusal the one that was named.")]
    members: Members
    action: Annotated[ConflictAction | None, Field(description="What was done, or asked for.")]
    winner: Annotated[MemberId | None, Field(description="The member that won, or was named.")]
    reason: Annotated[str | None, Field(description="Why: a person's words, or the name of the refusal.")]
    by: By
    ts: Ts
