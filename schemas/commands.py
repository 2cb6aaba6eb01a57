"""Topic `commands`: what operators ask for. More kinds come with their features."""

from typing import Annotated, Literal

from pydantic import Field

from endocrine.schemas.base import AuditId, CallId, Count, Id, Identity, Produced, Ts
from endocrine.schemas.names import Description, EffectiveFrom, RegisteredId, Roots, Scope


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


class RegistryCommand(Produced):
    """What every command to the registry of names says. All lie under one identity: one partition, one order."""

    identity: Annotated[Literal["$registry"], Field(description="The registry itself.")]
    scope: Scope
    name: Annotated[Id, Field(description="The name; compared without regard to case.")]
    effective_from: EffectiveFrom
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts


class RegisterName(RegistryCommand):
    """Register an id (`name` is `registered_id`), or a name as an alias of one."""

    kind: Literal["register_name"]
    registered_id: RegisteredId
    description: Description = None
    roots: Roots = None


class ReleaseName(RegistryCommand):
    """Release an alias; an id is never released."""

    kind: Literal["release_name"]


AnyCommand = Annotated[
    SetCap
    | AddNote
    | ReleaseLock
    | Approve
    | Deny
    | ClearRisk
    | ApproveTurn
    | DenyTurn
    | Tick
    | RegisterName
    | ReleaseName,
    Field(discriminator="kind"),
]
