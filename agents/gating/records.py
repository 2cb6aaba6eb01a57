"""The records that the gate produces: decisions and incidents, fields in the order of their models."""

from typing import TYPE_CHECKING

from endocrine.agents.gating.memory import Json, PendingCall, Turn, revision_of
from endocrine.agents.gating.messages import message_of
from endocrine.schemas.vocabulary import Reason, ToolRunner

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy


def decision_of(
    call: PendingCall,
    audit_id: str,
    identity: str,
    reason: Reason | None,
    policy: "Policy",
    turn: Turn | None,
    *,
    ts: float | None = None,
    incident_id: str | None = None,
    rule: str | None = None,
    expires: float | None = None,
    runner: ToolRunner | None = None,
) -> Json:
    """Return the decision on a call: allowed where there is no reason, pending where it awaits approval, else denied.

    turn: as it is after the decision, None where it is not open. ts: of the decision where that is not the call's, in
    seconds. rule, expires: of a call that waits. runner: of a function that the application runs itself.
    """
    tools, name = policy.document.tools, call["function"]
    meant = tools.root.get(name) if reason == "unknown_tool" else None
    waits = {} if rule is None else {"rule": rule, "expires": expires}
    return {
        "call_id": call["call_id"],
        "audit_id": audit_id,
        "identity": identity,
        "function": name,
        "tool": None if runner else tools.by_function.get(name),
        "decision": "allowed" if reason is None else "pending" if reason == "awaiting_approval" else "denied",
        "reason": reason,
        "incident_id": incident_id,
        "policy": policy.digest,
        "ts": call["ts"] if ts is None else ts,
        **waits,
        "arguments_digest": call.get("digest"),
        "revision": revision_of(turn),
        "message": message_of(reason, None if meant is None else meant.function),
        **({} if runner is None else {"runner": runner}),
    }


def incident_of(decision: Json, before: Turn, allowlist: list[str], stopped: str | None) -> Json:
    """Return the incident of a decision. before: the turn before its cut. stopped: the rule that stopped the call."""
    incident = {
        "incident_id": decision["incident_id"],
        "kind": "tool_blocked",
        "audit_id": decision["audit_id"],
        "identity": decision["identity"],
        "attempted": decision["function"],
        "reason": decision["reason"],
        "params_snapshot": {
            "allowlist": allowlist,
            "mode": before["force"]["mode"] if before["cut"] is None and before["force"] is not None else "strict",
        },
        "prompt_hmac": before["prompt_hmac"],
        "policy": decision["policy"],
        "ts": decision["ts"],
    }
    return incident if stopped is None else {**incident, "rule": stopped}
