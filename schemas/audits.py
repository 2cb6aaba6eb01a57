"""Topic `audits`: the bundle of a turn. Redacted: no response, no arguments as they were, no prompt unless set so."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endocrine.schemas.base import (
    AuditId,
    CallId,
    Count,
    Digest,
    Id,
    Identity,
    IncidentId,
    PolicyDigest,
    Record,
    RequestId,
    Ts,
)
from endocrine.schemas.interactions import Usage
from endocrine.schemas.modulations import Parameters, Step, WeighedSignal
from endocrine.schemas.tools import RunBy, Snapshot
from endocrine.schemas.vocabulary import (
    Decision,
    Door,
    IncidentKind,
    Mode,
    Reason,
    Refusal,
    ReplyStatus,
    Review,
    Stream,
    Tool,
    ToolStatus,
)

Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds.")]
Text = Annotated[str, Field(max_length=1000, description="Free text, redacted and cut.")]


class Opening(Record):
    """How the turn was opened. The prompt by its length and keyed hash; its text only where the policy says so."""

    ts: Ts
    session_id: Annotated[Id, Field(description="Conversation that the turn belongs to.")]
    turn: Annotated[Count, Field(description="Number of the turn in its session, from 0.")]
    client: Annotated[Id, Field(description="Program that opened the turn.")]
    project: Annotated[Id | None, Field(description="Project named on opening.")]
    model: Annotated[Id | None, Field(description="Model named on opening.")]
    prompt_chars: Annotated[Count, Field(description="Characters.")]
    prompt_hmac: Annotated[str | None, Field(description="HMAC-SHA-256 of the prompt, hexadecimal; as incidents.")]
    prompt: Annotated[str | None, Field(max_length=50_000, description="Redacted and cut; null as shipped.")]
    images: Annotated[Count | None, Field(description="Image parts of its messages; absent: none.")] = None


class Closing(Record):
    """How the turn was closed."""

    ts: Ts
    response_chars: Annotated[Count, Field(description="Characters.")]
    memories_used: Annotated[Count, Field(description="Number of memories that the answer was made with.")]
    chunks_used: Annotated[Count, Field(description="Number of snippets that the answer was made with.")]


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

    from_: Annotated[Any, Field(alias="from", description="Value before.")]
    to: Annotated[Any, Field(description="Value after.")]


class Revision(Record):
    """One revision of the turn's parameters."""

    revision: Annotated[Count, Field(description="Number of the revision, from 0.")]
    mode: Annotated[Mode, Field(description="Safety mode of the revision.")]
    changed: Annotated[
        dict[str, Change] | None, Field(description="Empty for revision 0; null where the one before was not seen.")
    ]
    policy: PolicyDigest
    ts: Ts


class UsedTool(Record):
    """A tool call that was not denied."""

    call_id: CallId
    function: Annotated[Text | None, Field(description="As the model wrote it.")]
    tool: Annotated[str | None, Field(max_length=256, description="Canonical name.")]
    step: Annotated[Count | None, Field(description="Model step that asked, from 1.")]
    decision: Annotated[Decision | None, Field(description="allowed, pending; null where none was seen.")]
    status: Annotated[ToolStatus | None, Field(description="Null where no result was seen.")]
    duration_ms: Milliseconds | None
    args_summary: Annotated[Text | None, Field(description="Of the result, else of the call; redacted.")]
    ts: Annotated[Ts, Field(description="Of the call; of the first that was seen of it where the call was not.")]
    runner: RunBy = None


class Blocked(Record):
    """A tool call that was denied."""

    call_id: CallId
    function: Text | None
    tool: Annotated[str | None, Field(max_length=256, description="Canonical name; null for an unknown function.")]
    step: Annotated[Count | None, Field(description="Model step that asked, from 1.")]
    reason: Annotated[Reason, Field(description="Why it was denied.")]
    incident_id: IncidentId | None
    executed: Annotated[ToolStatus | None, Field(description="Status of a result, which there must not be.")]
    args_summary: Text | None
    ts: Ts
    runner: RunBy = None


class AuditedIncident(Record):
    """An incident of the turn, but for those of moderation."""

    incident_id: IncidentId
    kind: Annotated[IncidentKind, Field(description="What happened.")]
    attempted: Text | None
    reason: Text
    params_snapshot: Annotated[Snapshot, Field(description="What was in force.")]
    prompt_hmac: Annotated[
        str | None, Field(description="HMAC-SHA-256 of the prompt, hexadecimal; null without a key.")
    ]
    ts: Ts


class Intervention(Record):
    """What an operator did about the turn."""

    kind: Annotated[Literal["clear_risk", "approve_turn", "deny_turn"], Field(description="The command.")]
    by: Annotated[Id, Field(description="The operator.")]
    ts: Ts


class AdviceLate(Record):
    """The application was given strict defaults, because the parameters did not come in time."""

    within_ms: Annotated[Count, Field(description="Milliseconds that the door waited.")]
    mode: Annotated[Mode, Field(description="The mode that the application was given.")]
    ts: Ts


class Verdict(Record):
    """The finding of moderation or of a guardian: an incident of kind `moderation` or `guardian_veto`."""

    incident_id: IncidentId
    kind: Annotated[IncidentKind, Field(description="Who judged: moderation, or a guardian.")]
    reason: Text
    ts: Ts


class ModelCall(Record):
    """A call to a language model: the request and its result, without any message."""

    request_id: RequestId
    step: Annotated[Count, Field(description="Model step of the turn, from 1.")]
    model: Annotated[str, Field(description="Name of the model.")]
    status: Annotated[ReplyStatus | None, Field(description="Null where no reply was seen.")]
    finish_reason: Text | None
    latency_ms: Milliseconds | None
    usage: Annotated[Usage | None, Field(description="Tokens, where the provider counted them.")]
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
    closed: Annotated[Usage | None, Field(description="As the application reported on closing.")]


class StepLatency(Record):
    """Time that one model step took."""

    step: Annotated[Count, Field(description="Model step of the turn, from 1.")]
    model_ms: Annotated[Milliseconds | None, Field(description="Of its replies together; null: none was seen.")]
    tools_ms: Annotated[Milliseconds | None, Field(description="Of the results of its calls together; null: none.")]


class Latency(Record):
    """How long the turn took."""

    total: Annotated[
        Milliseconds | None, Field(description="From opening to closing, event time; null where one was not seen.")
    ]
    steps: Annotated[list[StepLatency], Field(description="By model step.")]


class StepTokens(Record):
    """Tokens of one model step."""

    step: Annotated[Count, Field(description="Model step of the turn, from 1.")]
    model: Annotated[Usage, Field(description="Of its replies together.")]
    tools: Annotated[
        Count | None,
        Field(description="By which the next step's prompt is longer than this one and its answer; null: not known."),
    ]


class Cost(Record):
    """What the replies cost, at the prices of the policy in force. For accounting; a provider's bill may differ."""

    currency: Annotated[Literal["USD"], Field(description="Of all amounts.")]
    total: Annotated[float | None, Field(ge=0, description="Sum; null where no model has a price.")]
    models: Annotated[
        dict[str, Annotated[float, Field(ge=0)] | None],
        Field(description="By model that answered; null: it has no price, or did not count its tokens."),
    ]


Status = Literal["closed", "refused", "abandoned", "unopened", "supplement"]


class Audit(Record):
    """The bundle of a turn, produced once; what came later is in supplements under the same audit_id.

    status: `closed`; `refused` (not admitted); `abandoned` (never closed, and too many turns after it); `unopened`
    (talked about, never opened); `supplement` (late facts alone, number `supplement` from 1).
    """

    identity: Identity
    audit_id: AuditId
    ts: Annotated[Ts, Field(description="The latest event time of the records it is made of.")]
    supplement: Annotated[Count, Field(description="0: the bundle; from 1: what came after it.")]
    status: Annotated[Status, Field(description="closed, refused, abandoned, unopened or supplement, as above.")]
    incomplete: Annotated[list[str], Field(description="What was expected and had not come in time.")]
    headline: Annotated[
        str | None,
        Field(
            description="The turn's modes up to the final one; of a supplement, what it corrects. Null: not written."
        ),
    ] = None
    explanation: Annotated[str, Field(description="One paragraph in plain English.")]
    opened: Annotated[Opening | None, Field(description="How the turn was opened; null where that was not seen.")]
    closed: Annotated[Closing | None, Field(description="How the turn was closed; null where that was not seen.")]
    admitted: Annotated[
        bool | None, Field(description="Whether the last revision admits the turn; null without a modulation.")
    ]
    refusal: Annotated[Refusal | None, Field(description="Why the last revision does not admit it.")]
    review: Annotated[Review | None, Field(description="Whether a person should look, as the last revision says.")]
    mode: Annotated[Mode | None, Field(description="Safety mode of the last revision.")]
    prompt_style: Annotated[str | None, Field(description="Style of the last revision.")]
    parameters: Annotated[Parameters | None, Field(description="Of the last revision.")]
    lineage: Annotated[dict[str, list[AuditedStep]], Field(description="Of each parameter, from its default.")]
    allowlist: Annotated[list[Tool] | None, Field(description="Tools allowed by the last revision.")]
    signals: Annotated[list[AuditedSignal], Field(description="Signals that were looked at, with their fate.")]
    revisions: Annotated[list[Revision], Field(description="Revisions of the parameters, and what each changed.")]
    tools: Annotated[list[UsedTool], Field(description="Tool calls that were not denied.")]
    blocked: Annotated[list[Blocked], Field(description="Tool calls that were denied.")]
    incidents: Annotated[list[AuditedIncident], Field(description="Incidents of the turn, those of moderation apart.")]
    moderation: Annotated[list[Verdict], Field(description="Verdicts of moderation and guardian.")]
    models: Annotated[list[ModelCall], Field(description="Calls to a model.")]
    dropped: Annotated[list[Text], Field(description="All parameters that a model did not take, sorted.")]
    budget: Annotated[Budget, Field(description="Tokens allowed and spent.")]
    policies: Annotated[list[Digest], Field(description="Digests of the policies decisions were made under, sorted.")]
    records: Annotated[
        dict[str, list[str]],
        Field(description="Ids (`ce_id`) of the records it is made of, by topic; their headers hold version and cut."),
    ]
    omitted: Annotated[dict[str, Count], Field(description="Number of each kind that did not fit into the bounds.")]
    interventions: Annotated[
        list[Intervention], Field(default_factory=list, description="What operators did about the turn.")
    ]
    door: Annotated[Door | None, Field(description="The door that the turn came in by; null: not named.")] = None
    enforce: Annotated[
        bool | None,
        Field(description="False: observed, so nothing was changed on the way; null where the opening was not seen."),
    ] = None
    stream: Annotated[
        Stream | None,
        Field(description="windowed: text left before the whole was judged, so no veto was possible; null: not named."),
    ] = None
    asked: Annotated[
        dict[str, bool | int | float | str | None] | None,
        Field(description="What the application wished for; only what holds no text. Null: nothing."),
    ] = None
    latency_ms: Annotated[Latency | None, Field(description="Milliseconds, in all and by step.")] = None
    tokens: Annotated[list[StepTokens], Field(default_factory=list, description="By model step and its tools.")]
    cost: Annotated[Cost | None, Field(description="What the replies cost.")] = None
    degraded: Annotated[
        list[Tool],
        Field(default_factory=list, description="Tools with a breaker open during the turn: by the gate or by theirs."),
    ]
    advice_late: Annotated[
        AdviceLate | None, Field(description="What the application was given in place of the parameters; absent: they.")
    ] = None
    previous: Annotated[Digest | None, Field(description="`hash` of the record before it on its partition.")]
    hash: Annotated[Digest, Field(description="SHA-256 of the canonical JSON (RFC 8785) of all other fields.")]
