"""Topic `audits`: the bundle of a turn. Redacted: no response, no arguments as they were, no prompt unless set so."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import Count, Digest, Id, Identity, Record, Ts
from schemas.interactions import Usage
from schemas.modulations import Parameters, Step, WeighedSignal
from schemas.tools import Snapshot
from schemas.vocabulary import Decision, IncidentKind, Mode, Reason, Refusal, ReplyStatus, Review, Tool, ToolStatus

Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds.")]
Text = Annotated[str, Field(max_length=1000, description="Free text, redacted and cut.")]


class Opening(Record):
    """How the turn was opened. The prompt by its length and keyed hash; its text only where the policy says so."""

    ts: Ts
    session_id: Id
    turn: Annotated[Count, Field(description="Number of the turn in its session, from 0.")]
    client: Id
    project: Id | None
    model: Id | None
    prompt_chars: Annotated[Count, Field(description="Characters.")]
    prompt_hmac: Annotated[str | None, Field(description="HMAC-SHA-256 of the prompt, hexadecimal; as incidents.")]
    prompt: Annotated[str | None, Field(max_length=50_000, description="Redacted and cut; null as shipped.")]


class Closing(Record):
    """How the turn was closed."""

    ts: Ts
    response_chars: Annotated[Count, Field(description="Characters.")]
    memories_used: Count
    chunks_used: Count


class AuditedSignal(WeighedSignal):
    """A signal that was looked at, and what became of it."""

    revision: Annotated[Count, Field(description="The first revision that lists it so.")]


class AuditedStep(Step):
    """One step in the making of one parameter."""

    expression: Annotated[
        str | None,
        Field(description="The map's, where the policy of the modulation is still in force; else it is in `policies`."),
    ]


class Change(Record):
    """A parameter before and after."""

    from_: Annotated[Any, Field(alias="from")]
    to: Any


class Revision(Record):
    """One revision of the turn's parameters."""

    revision: Count
    mode: Mode
    changed: Annotated[
        dict[str, Change] | None, Field(description="Empty for revision 0; null where the one before was not seen.")
    ]
    policy: Digest
    ts: Ts


class UsedTool(Record):
    """A tool call that was not denied."""

    call_id: Id
    function: Annotated[Text | None, Field(description="As the model said it.")]
    tool: Annotated[str | None, Field(max_length=256, description="Canonical name.")]
    step: Annotated[Count | None, Field(description="Model step that asked, from 1.")]
    decision: Annotated[Decision | None, Field(description="allowed, pending; null where none was seen.")]
    status: Annotated[ToolStatus | None, Field(description="Null where no result was seen.")]
    duration_ms: Milliseconds | None
    args_summary: Annotated[Text | None, Field(description="Of the result, else of the call; redacted.")]
    ts: Annotated[Ts, Field(description="Of the call; of the first that was seen of it where the call was not.")]


class Blocked(Record):
    """A tool call that was denied."""

    call_id: Id
    function: Text | None
    tool: Annotated[str | None, Field(max_length=256)]
    step: Count | None
    reason: Reason
    incident_id: Id | None
    executed: Annotated[ToolStatus | None, Field(description="Status of a result, which there must not be.")]
    args_summary: Text | None
    ts: Ts


class AuditedIncident(Record):
    """An incident of the turn, but for those of moderation."""

    incident_id: Id
    kind: IncidentKind
    attempted: Text | None
    reason: Text
    params_snapshot: Snapshot
    prompt_hmac: str | None
    ts: Ts


class Intervention(Record):
    """What an operator did about the turn."""

    kind: Literal["clear_risk", "approve_turn", "deny_turn"]
    by: Id
    ts: Ts


class Verdict(Record):
    """What moderation or a guardian said: an incident of kind `moderation` or `guardian_veto`."""

    incident_id: Id
    kind: IncidentKind
    reason: Text
    ts: Ts


class ModelCall(Record):
    """A call to a language model: what was asked for and what came of it, without any message."""

    request_id: Id
    step: Count
    model: str
    status: Annotated[ReplyStatus | None, Field(description="Null where no reply was seen.")]
    finish_reason: Text | None
    latency_ms: Milliseconds | None
    usage: Usage | None
    tool_calls: Annotated[Count, Field(description="Tool calls in the reply.")]
    parameters: Annotated[
        dict[str, bool | int | float | str | None], Field(description="As sent; only those that hold no text.")
    ]
    dropped: Annotated[list[Text], Field(description="Parameters the model does not take.")]
    error: Text | None
    ts: Ts


class Budget(Record):
    """Tokens: allowed per reply, and spent."""

    max_output_tokens: Annotated[int | None, Field(description="Of the last revision. Tokens.")]
    replies: Annotated[Usage, Field(description="Sum over the replies seen.")]
    closed: Annotated[Usage | None, Field(description="As the application said on closing.")]


Status = Literal["closed", "refused", "abandoned", "unopened", "supplement"]


class Audit(Record):
    """The bundle of a turn, said once; what came later is said in supplements under the same audit_id.

    status: `closed`; `refused` (not admitted); `abandoned` (never closed, and too many turns after it); `unopened`
    (talked about, never opened); `supplement` (late facts alone, number `supplement` from 1).
    """

    identity: Identity
    audit_id: Id
    ts: Annotated[Ts, Field(description="The latest event time of the records it is made of.")]
    supplement: Annotated[Count, Field(description="0: the bundle; from 1: what came after it.")]
    status: Status
    incomplete: Annotated[list[str], Field(description="What was expected and had not come in time.")]
    headline: Annotated[
        str | None,
        Field(
            description="The turn's modes up to the final one; of a supplement, what it corrects. Null: not written."
        ),
    ] = None
    explanation: Annotated[str, Field(description="One paragraph in plain words.")]
    opened: Opening | None
    closed: Closing | None
    admitted: bool | None
    refusal: Refusal | None
    review: Review | None
    mode: Mode | None
    prompt_style: str | None
    parameters: Annotated[Parameters | None, Field(description="Of the last revision.")]
    lineage: Annotated[dict[str, list[AuditedStep]], Field(description="Of each parameter, from its default.")]
    allowlist: Annotated[list[Tool] | None, Field(description="Tools allowed by the last revision.")]
    signals: list[AuditedSignal]
    revisions: list[Revision]
    tools: list[UsedTool]
    blocked: list[Blocked]
    incidents: list[AuditedIncident]
    moderation: list[Verdict]
    models: list[ModelCall]
    dropped: Annotated[list[Text], Field(description="All parameters that a model did not take, sorted.")]
    budget: Budget
    policies: Annotated[list[Digest], Field(description="Digests of the policies decisions were made under, sorted.")]
    records: Annotated[
        dict[str, list[str]],
        Field(description="Ids (`ce_id`) of the records it is made of, by topic; their headers hold version and cut."),
    ]
    omitted: Annotated[dict[str, Count], Field(description="How many of a kind did not fit into the bounds.")]
    interventions: Annotated[
        list[Intervention], Field(default_factory=list, description="What operators did about the turn.")
    ]
    previous: Annotated[Digest | None, Field(description="`hash` of the record before it on its partition.")]
    hash: Annotated[Digest, Field(description="SHA-256 of the canonical JSON (RFC 8785) of all other fields.")]
