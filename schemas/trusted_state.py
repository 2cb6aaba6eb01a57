"""Topics `trusted-states` and `state-events`: what operators state about a project or an identity."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from endocrine.schemas.base import Id, Record, Share, Subject, Ts
from endocrine.schemas.vocabulary import StateEventKind

Category = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$"),
    Field(description="What the entry is about; one of the policy's list (`trusted_state.categories`)."),
]
StateKey = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$"),
    Field(description="Name of the entry within its category: 1 to 64 of a-z, 0-9, `_`, `.`, `-`."),
]
StateValue = Annotated[
    str, StringConstraints(min_length=1, max_length=4000), Field(description="What is stated; 1 to 4,000 characters.")
]
StateSource = Annotated[
    str, StringConstraints(max_length=256), Field(description="Where it is from; empty: not given.")
]
Confidence = Annotated[Share, Field(description="How sure the operator is, 0 to 1.")]


class TrustedState(Record):
    """An entry of trusted state. What a command superseded stays, with that status."""

    subject: Subject
    category: Category
    key: StateKey
    value: StateValue
    source: StateSource
    confidence: Confidence
    status: Annotated[Literal["active", "superseded"], Field(description="active: in force.")]
    entry_id: Annotated[Id, Field(description="Id of the entry, which all its versions share.")]
    version: Annotated[int, Field(ge=1, le=2**53 - 1, description="Number of its change, from 1.")]
    created_ts: Annotated[Ts, Field(description="When the first version was set; seconds since 1970-01-01 UTC.")]
    by: Annotated[Id, Field(description="The operator who changed it last.")]
    ts: Ts


class StateEvent(Record):
    """What a command did to an entry."""

    kind: Annotated[StateEventKind, Field(description="What happened.")]
    subject: Subject
    category: Category
    key: StateKey
    old: Annotated[str | None, Field(description="The value that was in force; null: none.")]
    new: Annotated[str | None, Field(description="The value that is in force; null: none.")]
    reason: Annotated[str | None, Field(description="Why it was refused, or invalidated; null: not given.")]
    entry_id: Annotated[Id | None, Field(description="Id of the entry; null without one.")]
    version: Annotated[int | None, Field(ge=1, description="Its version after it; null where there is no entry.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts
