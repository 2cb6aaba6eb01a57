"""The records of one tool call: its decision, and the incident where it is one (rules, section 4)."""

from typing import TYPE_CHECKING

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents.contract import Output, Trigger, output_id
from endocrine.agents.gating import application, limits, moments, sequences
from endocrine.agents.gating.decision import INCIDENTS, Case, Standing, why_denied
from endocrine.agents.gating.memory import (
    EffectiveModulation,
    GatingState,
    Json,
    PendingCall,
    Turn,
    allowlist_of,
    clock_of,
)
from endocrine.agents.gating.records import decision_of, incident_of
from endocrine.agents.gating.rules import SequenceRule
from endocrine.schemas.tools import ToolCall
from endocrine.schemas.vocabulary import Reason, ToolRunner

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

NAME = "gating"


def pending_call(call: ToolCall, state: GatingState, policy: "Policy", barred: Reason | None = None) -> PendingCall:
    """Return what is kept of a call until it is decided; its arguments are judged here, once.

    barred: conflicting_call or stale_call, which hold whatever its turn is; rate_limited where there was no room to
    keep it.
    """
    registry, rules = policy.document.tools, policy.document.gating
    tool = registry.by_function.get(call.tool)
    arguments, digest = judged_arguments(call.arguments, rules)
    valid = tool is not None and arguments is not None and registry.validators[tool].is_valid(arguments)
    pending: PendingCall = {
        "call_id": call.call_id,
        "function": call.tool,
        "valid": valid,
        "step": call.step,
        "ts": call.ts,
    }
    pending["digest"] = digest
    if (declared := application.judged(state, call.audit_id, call.tool, arguments)) is not None:
        pending["declared"] = declared
    if barred is not None:
        pending["barred"] = barred
    if tool is None or arguments is None:
        return pending
    if valid and registry.root[tool].needs_person.may_fit(arguments):
        pending["person"] = True
    if valid and (begins := sequences.begun_by(tool, arguments, rules)):
        pending["begins"] = begins
    if ends := sequences.ended_by(tool, arguments, rules):
        pending["ends"] = ends
    return pending


def decide(
    state: GatingState, audit_id: str, call: PendingCall, trigger: Trigger, ordinal: int, policy: "Policy"
) -> tuple[GatingState, list[Output]]:
    """Decide one call of a turn that is closed, unknown, or open with its modulation.

    The state after it has the turn cut to the strict allowlist where the call was an incident. ordinal: place of the
    first output among all outputs of the trigger. A call that a person agreed to is not held against its rate twice,
    and its decision has the time at which they agreed.
    """
    document, rules, at = policy.document, policy.document.gating, moments.now(state, trigger)
    turn, barred, agreed = state["turns"].get(audit_id), call.get("barred"), call.get("agreed")
    standing: Standing = "open" if turn is not None else "closed" if audit_id in state["closed"] else "unknown"
    effective = None if turn is None else turn["force"]
    tool = document.tools.by_function.get(call["function"])
    flag = document.tools.flag(tool) if tool is not None else None
    allowlist = allowlist_of(turn) if turn is not None else []
    theirs = application.allowed(state, turn, call, tool in allowlist, policy)
    if theirs is not None:  # no registry, flag, rate or breaker of ours is about what the application runs itself
        tool = flag = None
    runner: ToolRunner | None = None if theirs is None else "application"
    stopping = [] if turn is None or runner else sequences.in_force(state, turn, call, at, rules)
    stopped = next((rule for rule in stopping if rule.decision == "denied"), None)
    over_rate = agreed is None and tool is not None and limits.over_rate(state, tool, at, rules)
    listed = allowlist if stopped is None else [one for one in allowlist if one != tool]
    function: str = call["function"]
    reason = why_denied(
        Case(
            turn=standing,
            tool=function if runner else tool,
            flag_on=flag is None or document.flags.on(flag),
            allowlist=listed if theirs is None else [function] if theirs else [],
            valid=call["declared"] if runner else call["valid"],
            step=call["step"],
            step_limit=rules.step_limit,
            refusal=None if effective is None else effective["refusal"],
            over_rate=over_rate or barred == "rate_limited",
            circuit_open=tool is not None and limits.is_open(state, tool, at, rules),
            conflicting=barred == "conflicting_call",
            stale=barred == "stale_call",
        )
    )
    identity, ts = trigger.identity, agreed
    if turn is None:
        return state, [_output(decision_of(call, audit_id, identity, reason, policy, None, ts=ts))]
    if reason is None and tool is not None:
        person = _person(tool, call, stopping) if agreed is None else None
        if person is None:
            state = limits.counted(state, tool, at, rules) if agreed is None else state
            state = limits.probing(state, tool, at)
            state, turn = sequences.begin(state, turn, call, at, rules)
        elif len(state["pending"]) >= rules.pending_calls:
            reason = "rate_limited"
        else:
            state, expires = limits.counted(state, tool, at, rules), clock_of(state) + rules.approval_ttl_s
            pending: PendingCall = {**call, "audit_id": audit_id, "expires": expires}
            decision = decision_of(
                call, audit_id, identity, "awaiting_approval", policy, turn, rule=person, expires=expires
            )
            return {**state, "pending": [*state["pending"], pending]}, [_output(decision)]
    incident_id, before = None, turn
    if reason in INCIDENTS and not (reason == "unknown_tool" and call["function"] in document.tools.names):
        incident_id = output_id(NAME, trigger, ordinal + 1)
        assert effective is not None  # else the call waits for the first modulation
        turn = _cut(turn, effective, allowlist, document.strict_allowlist)
    decision = decision_of(
        call, audit_id, identity, reason, policy, turn, ts=ts, incident_id=incident_id, runner=runner
    )
    outputs = [_output(decision)]
    if incident_id is not None:
        by_rule = stopped is not None and reason == "not_in_allowlist" and tool in allowlist
        rule = f"gating.sequences.{stopped.name}" if stopped is not None and by_rule else None
        outputs.append(Output("incidents", identity, incident_of(decision, before, allowlist, rule)))
    return {**state, "turns": {**state["turns"], audit_id: turn}}, outputs


def _cut(turn: Turn, effective: EffectiveModulation, allowlist: list[str], strict: tuple[str, ...]) -> Turn:
    """Return the turn cut to the strict allowlist, with the revision that modulation gives it where that changes it."""
    changes = effective["mode"] != "strict" or not set(effective["allowlist"]) <= set(strict)
    expects = turn["expects"] if "expects" in turn else effective["revision"] + changes
    return {**turn, "cut": [tool for tool in allowlist if tool in strict], "expects": expects}


def _output(decision: Json) -> Output:
    return Output("tool-decisions", decision["identity"], decision)


def _person(tool: str | None, call: PendingCall, stopping: list[SequenceRule]) -> str | None:
    """Place in the policy of what asks for a person; None where nothing does."""
    if call.get("person"):
        return f"tools.{tool}.approval"
    return next((f"gating.sequences.{rule.name}" for rule in stopping if rule.decision == "approval"), None)
