"""Topics `tool-calls`, `tool-results`, `tool-decisions`, `incidents`, `scheduled-tasks`, `tool-analytics`."""

from typing import Annotated, Any

from pydantic import Field

from schemas.base import Bag, Count, Digest, Id, Identity, Produced, Record, Share, Ts
from schemas.vocabulary import Decision, IncidentKind, Mode, Reason, Tool, ToolStatus


class ToolCall(Produced):
    """What a model asks for."""

    call_id: Id
    audit_id: Id
    identity: Identity
    tool: Annotated[str, Field(max_length=256, description="Function name as the model said it.")]
    arguments: Annotated[Bag | str, Field(description="An object, or a string that should be JSON.")]
    step: Annotated[Count, Field(description="Number of the model step that asked, from 1.")]
    ts: Ts


class ToolResult(Produced):
    """What came of an allowed call."""

    call_id: Id
    audit_id: Id
    identity: Identity
    tool: Annotated[str, Field(max_length=256, description="Canonical name.")]
    status: ToolStatus
    duration_ms: Annotated[float, Field(ge=0, description="Milliseconds.")]
    args_summary: Annotated[str, Field(max_length=180, description="Redacted; at most 180 characters.")]
    output: Any = None
    ts: Ts


class ToolDecision(Record):
    """The gate's answer. A call without an allowed decision is never executed."""

    call_id: Id
    audit_id: Id
    identity: Identity
    function: Annotated[str, Field(description="Function name as the model said it.")]
    tool: Annotated[str | None, Field(description="Canonical name; null for an unknown function.")]
    decision: Decision
    reason: Annotated[Reason | None, Field(description="Exactly one for denied and pending; null for allowed.")]
    incident_id: Id | None
    policy: Digest
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


class Snapshot(Record):
    """What was in force when an incident arose."""

    allowlist: list[Tool]
    mode: Mode


class Incident(Record):
    """Something a person may want to look at. Never carries a prompt, only its keyed hash."""

    incident_id: Id
    kind: IncidentKind
    audit_id: Id | None
    identity: Identity
    attempted: Annotated[str | None, Field(description="Function the model asked for.")]
    reason: str
    params_snapshot: Snapshot
    prompt_hmac: Annotated[str | None, Field(description="HMAC-SHA-256 of the prompt, hexadecimal.")]
    policy: Digest
    ts: Ts
    rule: Annotated[str | None, Field(description="Place in the policy of the rule that stopped it, if one did.")] = (
        None
    )
    score: Annotated[Share | None, Field(description="Moderation: the highest category score.")] = None


class ScheduledTask(Record):
    """What the scheduler tool was asked to remember."""

    call_id: Id
    audit_id: Id
    identity: Identity
    when: str
    note: str
    ts: Ts


class ModeCounts(Record):
    """Turns per safety mode in the window."""

    strict: Count
    balanced: Count
    creative: Count


class ToolAnalytics(Record):
    """Figures of one tool over a window of event time."""

    tool: str
    window_s: Annotated[float, Field(gt=0, description="Seconds of event time.")]
    count: Count
    ok: Count
    error: Count
    blocked: Count
    p50_ms: float | None
    p95_ms: float | None
    modes: ModeCounts
    ts: Ts
