"""Topics `tool-calls`, `tool-results`, `tool-decisions`, `incidents`, `scheduled-tasks`, `tool-analytics`."""

from typing import Annotated, Any

from pydantic import Field

from endocrine.schemas.base import (
    AuditId,
    Bag,
    CallId,
    Count,
    Digest,
    Identity,
    IncidentId,
    PolicyDigest,
    Produced,
    Record,
    Share,
    Ts,
)
from endocrine.schemas.vocabulary import Decision, IncidentKind, Mode, Reason, Tool, ToolRunner, ToolStatus

RunBy = Annotated[
    ToolRunner | None,
    Field(description="application: a function of the application, which it runs itself; absent: a tool of ours."),
]


class ToolCall(Produced):
    """What a model asks for."""

    call_id: CallId
    audit_id: AuditId
    identity: Identity
    tool: Annotated[str, Field(max_length=256, description="Function name as the model wrote it.")]
    arguments: Annotated[Bag | str, Field(description="An object, or a string that should be JSON.")]
    step: Annotated[Count, Field(description="Number of the model step that asked, from 1.")]
    ts: Ts
    runner: Annotated[RunBy, Field(description="As who asks knows it; what counts is the decision's.")] = None


class ToolResult(Produced):
    """The result of an allowed call."""

    call_id: CallId
    audit_id: AuditId
    identity: Identity
    tool: Annotated[
        str, Field(max_length=256, description="Canonical name; the function's name where the application ran it.")
    ]
    status: Annotated[ToolStatus, Field(description="How it ended.")]
    duration_ms: Annotated[float, Field(ge=0, description="Milliseconds.")]
    args_summary: Annotated[str, Field(max_length=180, description="Redacted; at most 180 characters.")]
    output: Annotated[
        Any, Field(description="What the tool returned: any JSON value. From our connector: redacted, then cut.")
    ] = None
    ts: Ts
    runner: RunBy = None
    streamed: Annotated[
        bool | None,
        Field(
            description="Of an application's result: whether the client streams the answer to it, judged whole "
            "where it does not; absent: as the turn began."
        ),
    ] = None


class ToolDecision(Record):
    """The gate's answer. A call without an allowed decision is never executed."""

    call_id: CallId
    audit_id: AuditId
    identity: Identity
    function: Annotated[str, Field(description="Function name as the model wrote it.")]
    tool: Annotated[
        str | None, Field(description="Canonical name; null for an unknown function, and for one of the application.")
    ]
    decision: Annotated[
        Decision, Field(description="allowed, denied, or pending: a person must agree, and a second decision follows.")
    ]
    reason: Annotated[Reason | None, Field(description="Exactly one for denied and pending; null for allowed.")]
    incident_id: IncidentId | None
    policy: PolicyDigest
    ts: Annotated[Ts, Field(description="The call's; of a call that waited for a person, when its waiting ended.")]
    rule: Annotated[str | None, Field(description="Place in the policy of the rule that asks for a person.")] = None
    expires: Annotated[Ts | None, Field(description="Event time until which a person may answer.")] = None
    arguments_digest: Annotated[
        Digest | None,
        Field(description="SHA-256 of the canonical JSON (RFC 8785) of the arguments as checked; null: unreadable."),
    ] = None
    revision: Annotated[
        Count | None,
        Field(description="Revision of the turn's modulation in force after it, to be waited for; null: none known."),
    ] = None
    message: Annotated[str | None, Field(max_length=512, description="For a person; holds no content.")] = None
    runner: RunBy = None


class Snapshot(Record):
    """What was in force when an incident arose."""

    allowlist: Annotated[list[Tool], Field(description="Tools allowed at that moment, canonical names.")]
    mode: Annotated[Mode, Field(description="Safety mode at that moment.")]


class Incident(Record):
    """Something a person may want to look at. Never carries a prompt, only its keyed hash."""

    incident_id: IncidentId
    kind: Annotated[IncidentKind, Field(description="What happened.")]
    audit_id: AuditId | None
    identity: Identity
    attempted: Annotated[str | None, Field(description="Function the model asked for.")]
    reason: Annotated[str, Field(description="Why, in one line; for a tool call the reason of its decision.")]
    params_snapshot: Annotated[Snapshot, Field(description="What was in force.")]
    prompt_hmac: Annotated[str | None, Field(description="HMAC-SHA-256 of the prompt, hexadecimal.")]
    policy: PolicyDigest
    ts: Ts
    rule: Annotated[str | None, Field(description="Place in the policy of the rule that stopped it, if one did.")] = (
        None
    )
    score: Annotated[Share | None, Field(description="Moderation: the highest category score.")] = None


class ScheduledTask(Record):
    """A task given to the scheduler tool."""

    call_id: CallId
    audit_id: AuditId
    identity: Identity
    when: Annotated[str, Field(description="When it is due, as the model wrote it.")]
    note: Annotated[str, Field(description="What is to be done, as the model wrote it.")]
    ts: Ts


class ModeCounts(Record):
    """Turns per safety mode in the window."""

    strict: Annotated[Count, Field(description="Turns that began strict.")]
    balanced: Annotated[Count, Field(description="Turns that began balanced.")]
    creative: Annotated[Count, Field(description="Turns that began creative.")]


class ToolAnalytics(Record):
    """Figures of one tool over a window of event time."""

    tool: Annotated[str, Field(description="Canonical name; the record's key.")]
    window_s: Annotated[float, Field(gt=0, description="Seconds of event time.")]
    count: Annotated[Count, Field(description="Results: ok and error together.")]
    ok: Annotated[Count, Field(description="Results with status ok.")]
    error: Annotated[Count, Field(description="Results with status error or timeout.")]
    blocked: Annotated[Count, Field(description="Denied calls, whatever the reason.")]
    p50_ms: Annotated[
        float | None, Field(description="Median duration of the latest results, milliseconds; null without results.")
    ]
    p95_ms: Annotated[float | None, Field(description="95th percentile of them, milliseconds; null without results.")]
    modes: Annotated[ModeCounts, Field(description="Turns of all tools by the mode they began in.")]
    ts: Ts
