"""Topic `commands`: what operators ask for. More kinds come with their features."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import AuditId, Bag, CallId, Count, Id, Identity, Produced, Ts
from endocrine.schemas.bonds import TakenEvent
from endocrine.schemas.trusted_state import Category, Confidence, StateKey, StateSource, StateValue

MOST_PARTS = 100
"""Parts of one import."""


class Command(Produced):
    """What every command says: for whom, by whom, when."""

    identity: Identity
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts


class SetCap(Command):
    """Set the daily message cap of an identity."""

    kind: Literal["set_cap"]
    cap: Annotated[Count, Field(description="Messages per day; 0 means unlimited.")]


class AddNote(Command):
    """Add a note to an identity's bond entry."""

    kind: Literal["add_note"]
    text: Annotated[str, Field(min_length=1, max_length=2000, description="The note; dated when it is added.")]


class AdoptBond(Command):
    """Take a bond entry of another ledger over, with its events: in parts, each with the entry."""

    kind: Literal["adopt_bond"]
    entry: Annotated[Bag, Field(description="The entry as it was stored; a partial or older form will do.")]
    events: Annotated[list[TakenEvent], Field(max_length=200, description="Events of this part, oldest first.")]
    part: Annotated[int, Field(ge=1, le=MOST_PARTS, description="Number of the part, from 1.")]
    parts: Annotated[int, Field(ge=1, le=MOST_PARTS, description="How many there are; they come in order.")]
    replace: Annotated[bool, Field(description="Take it though the ledger has an entry.")] = False


class ReleaseLock(Command):
    """Release the drift lock of an identity."""

    kind: Literal["release_lock"]


class Approve(Command):
    """Approve a tool call that waits for a person."""

    kind: Literal["approve"]
    call_id: CallId


class Deny(Command):
    """Deny a tool call that waits for a person."""

    kind: Literal["deny"]
    call_id: CallId


class ClearRisk(Command):
    """End the alignment_risk in force before its time: of one open turn, or of the identity and all its open turns."""

    kind: Literal["clear_risk"]
    audit_id: Annotated[Id | None, Field(description="The turn; left out: the identity.")] = None


class ApproveTurn(Command):
    """Admit a held turn, strict."""

    kind: Literal["approve_turn"]
    audit_id: AuditId


class DenyTurn(Command):
    """Refuse a held turn for good."""

    kind: Literal["deny_turn"]
    audit_id: AuditId


class Tick(Command):
    """Event time passed: whatever of the identity waits for a deadline at or before `ts` meets it."""

    kind: Literal["tick"]


class StateSet(Command):
    """State something about a subject: an entry of trusted state, or a new version of it."""

    kind: Literal["state_set"]
    category: Category
    key: StateKey
    value: StateValue
    source: StateSource = ""
    confidence: Confidence = 1.0


class StateInvalidate(Command):
    """End an entry of trusted state: it stays, superseded."""

    kind: Literal["state_invalidate"]
    category: Category
    key: StateKey
    reason: Annotated[str | None, Field(max_length=1000, description="Why.")] = None


AnyCommand = Annotated[
    SetCap
    | AddNote
    | AdoptBond
    | ReleaseLock
    | Approve
    | Deny
    | ClearRisk
    | ApproveTurn
    | DenyTurn
    | Tick
    | StateSet
    | StateInvalidate,
    Field(discriminator="kind"),
]
