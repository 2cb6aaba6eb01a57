"""Topic `commands`: what operators ask for. More kinds come with their features."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.schemas.base import AuditId, Bag, CallId, Count, Id, Identity, Produced, Share, Ts
from endocrine.schemas.bonds import TakenEvent
from endocrine.schemas.erasures import ErasureId
from endocrine.schemas.memory import ConflictId, Content, MemoryId, Remark, Slot, Type
from endocrine.schemas.names import Description, EffectiveFrom, RegisteredId, Roots, Scope
from endocrine.schemas.rekeys import AgentName, RekeyId, StateDigest, StateKeyName
from endocrine.schemas.trusted_state import Category, Confidence, StateKey, StateSource, StateValue
from endocrine.schemas.vocabulary import MemoryStatus

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
    parts: Annotated[int, Field(ge=1, le=MOST_PARTS, description="Their number; they come in order.")]
    replace: Annotated[bool, Field(description="Take it though the ledger has an entry.")] = False


class ReleaseLock(Command):
    """Release the drift lock of an identity."""

    kind: Literal["release_lock"]


class Approve(Command):
    """Approve a tool call that waits for a person."""

    kind: Literal["approve"]
    call_id: CallId
    reason: Remark | None = None


class Deny(Command):
    """Deny a tool call that waits for a person."""

    kind: Literal["deny"]
    call_id: CallId
    reason: Remark | None = None


class ClearRisk(Command):
    """End the alignment_risk in force before its time: of one open turn, or of the identity and all its open turns."""

    kind: Literal["clear_risk"]
    audit_id: Annotated[Id | None, Field(description="The turn; left out: the identity.")] = None


class ApproveTurn(Command):
    """Admit a held turn, strict."""

    kind: Literal["approve_turn"]
    audit_id: AuditId
    reason: Remark | None = None


class DenyTurn(Command):
    """Refuse a held turn for good."""

    kind: Literal["deny_turn"]
    audit_id: AuditId
    reason: Remark | None = None


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


class MemoryCreate(Command):
    """Write a memory of a subject."""

    kind: Literal["memory_create"]
    type: Type
    content: Content
    slot: Slot | None = None
    status: Annotated[Literal["active", "candidate"], Field(description="active where left out.")] = "active"
    confidence: Annotated[Share | None, Field(description="`memory.operator_confidence` where left out.")] = None


class MemoryImport(Command):
    """Take a memory of an older store over, as it is there. Of two imports the one with the lower version changes
    nothing, and neither does one that is below what the memory has become here."""

    kind: Literal["memory_import"]
    memory_id: MemoryId
    type: Type
    content: Content
    slot: Slot | None = None
    status: Annotated[MemoryStatus, Field(description="Its status there.")]
    confidence: Annotated[Share, Field(description="Its confidence there.")]
    strength: Annotated[Share | None, Field(description="Its strength there, if it has one.")] = None
    version: Annotated[int, Field(ge=1, le=2**53 - 1, description="Its version there.")]
    store: Annotated[Id, Field(description="The older store.")]
    origin: Annotated[Id, Field(description="Its id there.")]
    created_ts: Ts


class OfMemory(Command):
    """What a command about one memory says."""

    memory_id: MemoryId
    reason: Remark | None = None


class MemoryUpdate(OfMemory):
    """Change the content or the confidence of a memory that is a candidate or active."""

    kind: Literal["memory_update"]
    content: Content | None = None
    confidence: Annotated[Share | None, Field(description="Its new confidence.")] = None
    version: Annotated[
        int | None,
        Field(ge=1, le=2**53 - 1, description="The version that is changed; refused where the memory has a later one."),
    ] = None


class MemoryPromote(OfMemory):
    """Make a candidate active."""

    kind: Literal["memory_promote"]


class MemoryReject(OfMemory):
    """Make a candidate invalid: what it says is not extracted again."""

    kind: Literal["memory_reject"]


class MemoryInvalidate(OfMemory):
    """Make an active memory invalid."""

    kind: Literal["memory_invalidate"]


class MemorySupersede(OfMemory):
    """Take an active memory out of force, because another says it better."""

    kind: Literal["memory_supersede"]
    superseded_by: MemoryId | None = None


class OfAnswer(Command):
    """What a command about the answer of a turn says."""

    audit_id: AuditId
    text: Annotated[str, Field(min_length=1, description="The answer.")]


class MemoryExtract(OfAnswer):
    """Extract candidates from an answer."""

    kind: Literal["memory_extract"]
    project: Annotated[
        Id | None,
        Field(description="Project of the turn: then personal types are its identity's, all others the project's."),
    ] = None
    turn_identity: Annotated[
        Identity | None, Field(description="Whose turn it was, where the subject is its project.")
    ] = None


class MemoryReinforce(OfAnswer):
    """Reinforce the memories that an answer agrees with."""

    kind: Literal["memory_reinforce"]


class ConflictResolve(Command):
    """End an open conflict."""

    kind: Literal["conflict_resolve"]
    slot: Slot
    conflict_id: ConflictId
    action: Annotated[
        Literal["supersede_others", "no_action", "dismiss"],
        Field(description="supersede_others needs a winner; dismiss: the two are not about the same thing."),
    ]
    winner: Annotated[Id | None, Field(description="A member's id.")] = None
    reason: Remark | None = None


class OfLink(Command):
    """What a command about the link of two identities says: `identity` is the one that sorts first by code points."""

    b: Annotated[Identity, Field(description="The other identity.")]
    reason: Remark | None = None


class LinkApply(OfLink):
    """Say that two identities are one actor's: views show the union; nothing is merged."""

    kind: Literal["link_apply"]


class LinkReverse(OfLink):
    """Take that back; the evidence is kept."""

    kind: Literal["link_reverse"]


class LinkDismiss(OfLink):
    """Say that two identities are not one actor's: not proposed again without a new kind of evidence."""

    kind: Literal["link_dismiss"]


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


class Adopt(Command):
    """Take over the state of an agent under another name of this subject. No door resolves the names in it."""

    kind: Literal["adopt"]
    rekey_id: RekeyId
    agent: AgentName
    key: StateKeyName
    old: Annotated[Identity, Field(description="The subject that it was written under.")]
    state: Annotated[Bag | list[Any], Field(description="The state that is moved.")]
    digest_old: StateDigest
    digest_new: Annotated[StateDigest | None, Field(description="Of the state under `key`, as planned; null: none.")]
    check: Annotated[bool, Field(description="Only say whether it is possible.")]


class Retire(Command):
    """End the state of an agent under a name that became an alias, after it was moved. No door resolves it."""

    kind: Literal["retire"]
    rekey_id: RekeyId
    agent: AgentName
    key: StateKeyName
    digest_old: StateDigest


class Erase(Command):
    """Erase the state of an agent that is, or names, a subject. No door resolves the names in it.

    It lies on `commands`, and on `erasures` for agents that read no commands, as `adopt` and `retire` do.
    """

    kind: Literal["erase"]
    erasure_id: ErasureId
    agent: Annotated[AgentName, Field(description="The agent; `all`: each answers, and so makes a batch.")]
    key: StateKeyName
    of: Annotated[Identity, Field(description="The subject that is erased, by its literal name.")]
    memory_ids: Annotated[
        list[MemoryId],
        Field(
            default_factory=list,
            max_length=4096,
            description="Memories of the state's own subject that are erased too.",
        ),
    ]


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
    | StateInvalidate
    | MemoryCreate
    | MemoryImport
    | MemoryUpdate
    | MemoryPromote
    | MemoryReject
    | MemoryInvalidate
    | MemorySupersede
    | MemoryExtract
    | MemoryReinforce
    | ConflictResolve
    | LinkApply
    | LinkReverse
    | LinkDismiss
    | RegisterName
    | ReleaseName
    | Adopt
    | Retire
    | Erase,
    Field(discriminator="kind"),
]
StateCommand = Annotated[Erase | Adopt | Retire, Field(discriminator="kind")]
"""Of topic `erasures`: what ends or moves a state of an agent that reads no commands."""
