"""The answer to one tool call: its decision, and the incident where it is one (rules, section 4)."""

from typing import TYPE_CHECKING

from agents._shared.arguments import read_arguments, within
from agents.contract import Output, Trigger, output_id
from agents.gating import limits, sequences
from agents.gating.decision import INCIDENTS, Case, Standing, why_denied
from agents.gating.memory import Json, allowlist_of
from agents.gating.rules import SequenceRule
from schemas.tools import ToolCall
from schemas.vocabulary import Reason

if TYPE_CHECKING:
    from agents.policy.compiled import Policy

NAME = "gating"


def question_of(call: ToolCall, policy: "Policy") -> Json:
    """What is remembered of a call until it is decided; what its arguments say is judged here, once."""
    registry, rules = policy.document.tools, policy.document.gating
    tool = registry.by_function.get(call.tool)
    arguments = within(read_arguments(call.arguments, rules.arguments_depth), rules.arguments_chars)
    valid = tool is not None and arguments is not None and registry.validators[tool].is_valid(arguments)
    question: Json = {"call_id": call.call_id, "function": call.tool, "valid": valid, "step": call.step, "ts": call.ts}
    if tool is None or arguments is None:
        return question
    if valid and registry.root[tool].needs_person.is_valid(arguments):
        question["person"] = True
    for name, found in (
        ("begins", sequences.begun_by(tool, arguments, rules) if valid else []),
        ("ends", sequences.ended_by(tool, arguments, rules)),
    ):
        if found:
            question[name] = found
    return question


def answer(
    state: Json,
    audit_id: str,
    question: Json,
    trigger: Trigger,
    ordinal: int,
    policy: "Policy",
    *,
    asked: bool = True,
    ts: float | None = None,
) -> tuple[Json, list[Output]]:
    """Decide one call of a turn that is closed, unknown, or open with its modulation.

    The state after it has the turn cut to the strict allowlist where the call was an incident. ordinal: place of the
    first output among all outputs of the trigger. asked: False where a person has agreed, which a rate limit does not
    hold against twice. ts: of the decision where that is not the call's.
    """
    document, rules = policy.document, policy.document.gating
    turn = state["turns"].get(audit_id)
    standing: Standing = "open" if turn is not None else "closed" if audit_id in state["closed"] else "unknown"
    tool = document.tools.by_function.get(question["function"])
    flag = document.tools.flag(tool) if tool is not None else None
    allowlist = allowlist_of(turn) if turn is not None else []
    stopping = [] if turn is None else sequences.in_force(state, turn, question, rules)
    barred = next((rule for rule in stopping if rule.decision == "denied"), None)
    reason = why_denied(
        Case(
            turn=standing,
            tool=tool,
            flag_on=flag is None or document.flags.on(flag),
            allowlist=allowlist if barred is None else [one for one in allowlist if one != tool],
            valid=question["valid"],
            step=question["step"],
            step_limit=rules.step_limit,
            refusal=turn["force"]["refusal"] if turn is not None else None,
            over_rate=asked and tool is not None and limits.over_rate(state, tool, question["ts"], rules),
            circuit_open=tool is not None and limits.is_open(state, tool, question["ts"] if ts is None else ts, rules),
        )
    )
    person = _person(tool, question, stopping) if asked and reason is None else None
    if person is not None and len(state["pending"]) >= rules.pending_calls:
        reason, person = "rate_limited", None
    incident_id = output_id(NAME, trigger, ordinal + 1) if reason in INCIDENTS else None
    decision = decision_of(question, audit_id, trigger.identity, tool, reason, policy, ts)
    decision["incident_id"] = incident_id
    outputs = [Output("tool-decisions", trigger.identity, decision)]
    if turn is None:
        return state, outputs
    if reason is None and tool is not None:
        state = limits.counted(state, tool, question["ts"], rules) if asked else state
        if person is not None:
            expires = question["ts"] + rules.approval_ttl_s
            decision |= {"decision": "pending", "reason": "awaiting_approval", "rule": person, "expires": expires}
            waits = {**question, "audit_id": audit_id, "expires": expires}
            return {**state, "pending": [*state["pending"], waits]}, outputs
        state = limits.probing(state, tool, question["ts"] if ts is None else ts)
        state, turn = sequences.begin(state, turn, question, rules)
    elif incident_id is not None:
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
            "ts": decision["ts"],
        }
        if barred is not None and reason == "not_in_allowlist" and tool in allowlist:
            incident["rule"] = f"gating.sequences.{barred.name}"
        outputs.append(Output("incidents", trigger.identity, incident))
        turn = {**turn, "cut": [tool for tool in allowlist if tool in document.strict_allowlist]}
    return {**state, "turns": {**state["turns"], audit_id: turn}}, outputs


def decision_of(
    question: Json,
    audit_id: str,
    identity: str,
    tool: str | None,
    reason: Reason | None,
    policy: "Policy",
    ts: float | None = None,
) -> Json:
    """A decision without its incident: allowed where there is no reason, else denied."""
    return {
        "call_id": question["call_id"],
        "audit_id": audit_id,
        "identity": identity,
        "function": question["function"],
        "tool": tool,
        "decision": "allowed" if reason is None else "denied",
        "reason": reason,
        "incident_id": None,
        "policy": policy.digest,
        "ts": question["ts"] if ts is None else ts,
    }


def _person(tool: str | None, question: Json, stopping: list[SequenceRule]) -> str | None:
    """Place in the policy of what asks for a person; None where nothing does."""
    if question.get("person"):
        return f"tools.{tool}.approval"
    return next((f"gating.sequences.{rule.name}" for rule in stopping if rule.decision == "approval"), None)
