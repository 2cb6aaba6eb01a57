"""The closed vocabularies. Order carries no meaning here; precedence and bounds live in the policy."""

from typing import Literal

Signal = Literal["alignment_risk", "stress", "ambiguity", "urgency", "novelty", "trust"]
RegulatedSignal = Literal["alignment_risk", "stress", "stabilize", "ambiguity", "urgency", "novelty", "trust"]
Fate = Literal["used", "expired", "other_turn", "cooldown", "budget", "capped", "clamped"]
Mode = Literal["strict", "balanced", "creative"]
Tool = Literal["search", "code_exec", "browser", "retrieval", "scheduler"]
Refusal = Literal["rate_limited", "budget_exceeded"]
Review = Literal["none", "suggested"]
Decision = Literal["allowed", "denied", "pending"]
Reason = Literal[
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
ReplyStatus = Literal["ok", "error", "timeout", "refused"]
Intent = Literal["affirm", "reject", "more_detail", "soften", "ground"]
AttributionState = Literal["unknown", "stable", "drifting", "conflicted", "multi_actor"]
BondEventType = Literal["phase_transition", "risk_change", "admin_action", "ulm_spike"]
