"""The answer to one tool call: its decision, and the incident where it is one (rules, section 4)."""

from typing import TYPE_CHECKING

from agents.contract import Output, Trigger, output_id
from agents.gating.arguments import read_arguments
from agents.gating.decision import INCIDENTS, Case, Standing, why_denied
from agents.gating.memory import Json, allowlist_of
from schemas.tools import ToolCall

if TYPE_CHECKING:
    from agents.policy.compiled import Policy

NAME = "gating"


def question_of(call: ToolCall, policy: "Policy") -> Json:
    registry = policy.document.tools
    tool = registry.by_function.get(call.tool)
    arguments = read_arguments(call.arguments, policy.document.gating.arguments_depth)
    valid = tool is not None and arguments is not None and registry.validators[tool].is_valid(arguments)
    return {"call_id": call.call_id, "function": call.tool, "valid": valid, "step": call.step, "ts": call.ts}


def answer(
    turn: Json | None,
    standing: Standing,
    audit_id: str,
    question: Json,
    trigger: Trigger,
    ordinal: int,
    policy: "Policy",
) -> tuple[Json | None, list[Output]]:
    """Decide one call. The turn comes back, cut to the strict allowlist where the call was an incident.

    turn: what is remembered of an open turn that has its modulation; None where it is not open. ordinal: place of the
    first output among all outputs of the trigger.
    """
    document = policy.document
    tool = document.tools.by_function.get(question["function"])
    flag = document.tools.flag(tool) if tool is not None else None
    allowlist = allowlist_of(turn) if turn is not None else []
    reason = why_denied(
        Case(
            turn=standing,
            tool=tool,
            flag_on=flag is None or document.flags.on(flag),
            allowlist=allowlist,
            valid=question["valid"],
            step=question["step"],
            step_limit=document.gating.step_limit,
            refusal=turn["force"]["refusal"] if turn is not None else None,
        )
    )
    incident_id = output_id(NAME, trigger, ordinal + 1) if reason in INCIDENTS else None
    decision = {
        "call_id": question["call_id"],
        "audit_id": audit_id,
        "identity": trigger.identity,
        "function": question["function"],
        "tool": tool,
        "decision": "allowed" if reason is None else "denied",
        "reason": reason,
        "incident_id": incident_id,
        "policy": policy.digest,
        "ts": question["ts"],
    }
    outputs = [Output("tool-decisions", trigger.identity, decision)]
    if turn is None or incident_id is None:
        return turn, outputs
    incident = {
        "incident_id": incident_id,
        "kind": "tool_blocked",
        "audit_id": audit_id,
        "identity": trigger.identity,
        "attempted": question["function"],
        "reason": reason,
        "params_snapshot": {
            "allowlist": allowlist,
            "mode": turn["force"]["mode"] if turn["cut"] is None else "strict",
        },
        "prompt_hmac": turn["prompt_hmac"],
        "policy": policy.digest,
        "ts": question["ts"],
    }
    cut = [tool for tool in allowlist if tool in document.strict_allowlist]
    return {**turn, "cut": cut}, [*outputs, Output("incidents", trigger.identity, incident)]
