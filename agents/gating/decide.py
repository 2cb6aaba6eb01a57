"""The answer to one tool call: its decision, and the incident where it is one (rules, section 4)."""

from typing import TYPE_CHECKING

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents.contract import Output, Trigger, output_id
from endocrine.agents.gating import application, limits, moments, sequences
from endocrine.agents.gating.decision import INCIDENTS, Case, Standing, why_denied
from endocrine.agents.gating.memory import Json, allowlist_of
from endocrine.agents.gating.records import decision_of, incident_of
from endocrine.agents.gating.rules import SequenceRule
from endocrine.schemas.tools import ToolCall
from endocrine.schemas.vocabulary import EffectRunner, Reason

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

NAME = "gating"


def question_of(call: ToolCall, state: Json, policy: "Policy", barred: Reason | None = None) -> Json:
    """What is remembered of a call until it is decided; what its arguments say is judged here, once.

    barred: conflicting_call or stale_call, which hold whatever its turn is; rate_limited where there was no room to
    remember it.
    """
    registry, rules = policy.document.tools, policy.document.gating
    tool = registry.by_function.get(call.tool)
    arguments, digest = judged_arguments(call.arguments, rules)
    valid = tool is not None and arguments is not None and registry.validators[tool].is_valid(arguments)
    question: Json = {"call_id": call.call_id, "function": call.tool, "valid": valid, "step": call.step, "ts": call.ts}
    question["digest"] = digest
    if (declared := application.judged(state, call.audit_id, call.tool, arguments)) is not None:
        question["declared"] = declared
    if barred is not None:
        question["barred"] = barred
    if tool is None or arguments is None:
        return question
    if valid and registry.root[tool].needs_person.may_fit(arguments):
        question["person"] = True
    for name, found in (
        ("begins", sequences.begun_by(tool, arguments, rules) if valid else []),
        ("ends", sequences.ended_by(tool, arguments, rules)),
    ):
        if found:
            question[name] = found
    return question


def answer(
    state: Json, audit_id: str, question: Json, trigger: Trigger, ordinal: int, policy: "Policy"
) -> tuple[Json, list[Output]]:
    """Decide one call of a turn that is closed, unknown, or open with its modulation.

    The state after it has the turn cut to the strict allowlist where the call was an incident. ordinal: place of the
    first output among all outputs of the trigger. A call that a person agreed to is not held against its rate twice,
    and its decision has the time at which they agreed.
    """
    document, rules, at = policy.document, policy.document.gating, moments.now(state, trigger)
    turn, barred, agreed = state["turns"].get(audit_id), question.get("barred"), question.get("agreed")
    standing: Standing = "open" if turn is not None else "closed" if audit_id in state["closed"] else "unknown"
    force = None if turn is None else turn["force"]
    tool = document.tools.by_function.get(question["function"])
    flag = document.tools.flag(tool) if tool is not None else None
    allowlist = allowlist_of(turn) if turn is not None and force is not None else []
    theirs = application.allowed(state, turn, question, tool in allowlist, policy)
    if theirs is not None:  # no registry, flag, rate or breaker of ours is about what the application runs itself
        tool = flag = None
    runner: EffectRunner | None = None if theirs is None else "application"
    stopping = [] if turn is None or runner else sequences.in_force(state, turn, question, at, rules)
    stopped = next((rule for rule in stopping if rule.decision == "denied"), None)
    over_rate = agreed is None and tool is not None and limits.over_rate(state, tool, at, rules)
    listed = allowlist if stopped is None else [one for one in allowlist if one != tool]
    function: str = question["function"]
    reason = why_denied(
        Case(
            turn=standing,
            tool=function if runner else tool,
            flag_on=flag is None or document.flags.on(flag),
            allowlist=listed if theirs is None else [function] if theirs else [],
            valid=question["declared"] if runner else question["valid"],
            step=question["step"],
            step_limit=rules.step_limit,
            refusal=None if force is None else force["refusal"],
            over_rate=over_rate or barred == "rate_limited",
            circuit_open=tool is not None and limits.is_open(state, tool, at, rules),
            conflicting=barred == "conflicting_call",
            stale=barred == "stale_call",
        )
    )
    identity, ts = trigger.identity, agreed
    if turn is None:
        return state, [_said(decision_of(question, audit_id, identity, reason, policy, None, ts=ts))]
    if reason is None and tool is not None:
        person = _person(tool, question, stopping) if agreed is None else None
        if person is None:
            state = limits.counted(state, tool, at, rules) if agreed is None else state
            state = limits.probing(state, tool, at)
            state, turn = sequences.begin(state, turn, question, at, rules)
        elif len(state["pending"]) >= rules.pending_calls:
            reason = "rate_limited"
        else:
            state, expires = limits.counted(state, tool, at, rules), state["clock"] + rules.approval_ttl_s
            pending = {**question, "audit_id": audit_id, "expires": expires}
            decision = decision_of(
                question, audit_id, identity, "awaiting_approval", policy, turn, rule=person, expires=expires
            )
            return {**state, "pending": [*state["pending"], pending]}, [_said(decision)]
    incident_id, before = None, turn
    if reason in INCIDENTS and not (reason == "unknown_tool" and question["function"] in document.tools.names):
        incident_id = output_id(NAME, trigger, ordinal + 1)
        turn = _cut(turn, allowlist, document.strict_allowlist)
    decision = decision_of(
        question, audit_id, identity, reason, policy, turn, ts=ts, incident_id=incident_id, runner=runner
    )
    outputs = [_said(decision)]
    if incident_id is not None:
        by_rule = stopped is not None and reason == "not_in_allowlist" and tool in allowlist
        rule = f"gating.sequences.{stopped.name}" if stopped is not None and by_rule else None
        outputs.append(Output("incidents", identity, incident_of(decision, before, allowlist, rule)))
    return {**state, "turns": {**state["turns"], audit_id: turn}}, outputs


def _cut(turn: Json, allowlist: list[str], strict: tuple[str, ...]) -> Json:
    """The turn cut to the strict allowlist, with the revision that modulation gives it where that changes anything."""
    force = turn["force"]
    changes = force["mode"] != "strict" or not set(force["allowlist"]) <= set(strict)
    expects = turn["expects"] if "expects" in turn else force["revision"] + changes
    return {**turn, "cut": [tool for tool in allowlist if tool in strict], "expects": expects}


def _said(decision: Json) -> Output:
    return Output("tool-decisions", decision["identity"], decision)


def _person(tool: str | None, question: Json, stopping: list[SequenceRule]) -> str | None:
    """Place in the policy of what asks for a person; None where nothing does."""
    if question.get("person"):
        return f"tools.{tool}.approval"
    return next((f"gating.sequences.{rule.name}" for rule in stopping if rule.decision == "approval"), None)
