"""The closed vocabularies. Order carries no meaning here; precedence and bounds live in the policy."""

from typing import Annotated, Literal

from pydantic import StringConstraints

Signal = Literal["alignment_risk", "stress", "ambiguity", "urgency", "novelty", "trust"]
RegulatedSignal = Literal["alignment_risk", "stress", "stabilize", "ambiguity", "urgency", "novelty", "trust"]
Fate = Literal["used", "expired", "other_turn", "cooldown", "budget", "capped", "clamped", "cleared"]
Mode = Literal["strict", "balanced", "creative"]
Tool = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A canonical tool name. Which ones there are is the registry's to say (policy section `tools`)."""
Refusal = Literal["rate_limited", "budget_exceeded", "held", "denied", "hold_expired"]
Review = Literal["none", "suggested", "required"]
Decision = Literal["allowed", "denied", "pending"]
Reason = Literal[
    "conflicting_call",
    "stale_call",
    "unknown_turn",
    "turn_closed",
    "unknown_tool",
    "disabled_by_flag",
    "not_in_allowlist",
    "invalid_arguments",
    "step_limit",
    "rate_limited",
    "circuit_open",
    "budget_exceeded",
    "approval_denied",
    "approval_expired",
    "awaiting_approval",
]
IncidentKind = Literal["tool_blocked", "drift_lock", "guardian_veto", "moderation"]
ToolStatus = Literal["ok", "error", "timeout"]
Purpose = Literal["answer", "guardian", "moderation"]
Finish = Literal[
    "answered",
    "cut",
    "rate_limited",
    "budget_exceeded",
    "denied",
    "hold_expired",
    "too_many_turns",
    "too_long",
    "no_modulation",
    "input_blocked",
    "output_blocked",
    "vetoed",
    "no_verdict",
    "no_revision",
    "step_limit",
    "not_continued",
    "model_error",
    "model_timeout",
    "model_refused",
]
Door = Literal["kafka", "http", "openai", "client", "hook", "ingest"]
Stream = Literal["buffered", "windowed"]
Images = Literal["all", "data", "none"]
ToolRunner = Literal["application"]
ReplyStatus = Literal["ok", "error", "timeout", "refused"]
Intent = Literal["affirm", "reject", "more_detail", "soften", "ground"]
AttributionState = Literal["unknown", "stable", "drifting", "conflicted", "multi_actor"]
ImportOutcome = Literal["taken", "exists", "unreadable", "too_many_nodes", "out_of_order"]
BondEventType = Literal["phase_transition", "risk_change", "admin_action", "ulm_spike"]
StateEventKind = Literal["set", "updated", "unchanged", "invalidated", "absent", "refused"]
MemoryType = Literal["identity", "preference", "project", "episodic", "knowledge", "adaptation"]
MemoryStatus = Literal["candidate", "active", "superseded", "invalid"]
MemorySource = Literal["operator", "interaction", "import"]
MemoryEventKind = Literal[
    "created",
    "promoted",
    "rejected",
    "superseded",
    "invalidated",
    "updated",
    "reinforced",
    "voted",
    "imported",
    "refused",
    "dropped",
]
Opinion = Literal["for", "against"]
ConflictLayer = Literal["state", "tool", "entity", "memory"]
"""In the order of authority. Raw text is never authoritative, and is no layer."""
ConflictStatus = Literal["open", "resolved", "dismissed"]
ConflictAction = Literal["supersede_others", "no_action", "dismiss", "vanished"]
ConflictEventKind = Literal["opened", "changed", "resolved", "dismissed", "refused"]
NameScope = Literal["identity", "project"]
NameKind = Literal["id", "alias", "erased"]
NameRefusal = Literal["taken", "is_an_id", "unknown", "invalid"]
RegistryEventKind = Literal["registered", "released", "refused"]
ErasureOutcome = Literal["erased", "reduced", "unchanged", "absent", "claimed", "passed", "refused"]
RekeyOutcome = Literal["possible", "adopted", "unchanged", "conflict", "retired", "absent", "refused"]
LinkKind = Literal["keystroke", "c2", "hassh", "jarm", "tcp"]
LinkClass = Literal["strong", "medium", "weak"]
LinkStatus = Literal["observed", "proposed", "applied", "dismissed"]
LinkEventKind = Literal[
    "observed", "proposed", "applied", "reversed", "dismissed", "weakened", "restored", "unchanged", "refused"
]
LinkRefusal = Literal["unknown_link", "below_threshold", "not_applied", "applied", "not_sorted"]
