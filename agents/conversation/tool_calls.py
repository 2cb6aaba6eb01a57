"""Tool calls of a turn: the request to the gate, its decision, the result, and the message the model gets of it."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents._shared.normalise import visible
from endocrine.agents._shared.summaries import retrieval_id
from endocrine.agents.contract import Reject
from endocrine.agents.conversation import application
from endocrine.agents.conversation.compose import exchange_of, framed, snippets_of, text_of
from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.model_requests import step_id
from endocrine.agents.conversation.moderation import flag
from endocrine.agents.conversation.state import Call, CallResult, Json, Turn
from endocrine.agents.conversation.turn_context import TurnContext
from endocrine.agents.moderation.local import Verdict, judge
from endocrine.schemas.models import ModelReply
from endocrine.schemas.tools import ToolDecision, ToolResult

_NAME_CHARS = 256
_SHOWN_NAME_CHARS = 64
_SHOWN_ARGUMENTS_CHARS = 2000
_SOURCE_CHARS = 120
_NOT_ALLOWED = ("unknown_tool", "not_in_allowlist", "disabled_by_flag", "approval_denied", "no_decision")
"""Denials whose message has the fixed text of rules 4; that of others has the reason too."""
TRUNCATED = "[truncated]"


def start_retrieval(context: TurnContext, audit_id: str, turn: Turn) -> bool:
    """Ask the retrieval tool for snippets where the policy says so and the turn may; False where not."""
    rules, registry = context.rules.retrieval, context.policy.document.tools
    spec = registry.root.get(rules.tool)
    parameters = in_force(turn)["parameters"]
    wanted = min(parameters["retrieval_k"], rules.k_max)
    if not rules.enabled or spec is None or rules.tool not in parameters["tool_allowlist"] or wanted < 1:
        return False
    arguments = {"query": turn["prompt"][: rules.query_chars], "k": wanted}
    call = _call(context, retrieval_id(audit_id), "retrieval", spec.function, "{}")
    turn["calls"] = [_request_call(context, audit_id, turn, call, spec.function, arguments)]
    return True


def start_calls(context: TurnContext, audit_id: str, turn: Turn, reply: ModelReply) -> None:
    """Hand all calls of a reply to the gate at once; those of our tools beyond the bound are not even asked for."""
    limits, request_id = context.rules.limits, step_id(context, audit_id, turn)
    given = "application" in turn
    retry = "b" if turn["again"] else ""
    content = (reply.content or "")[: limits.answer_chars if given else _SHOWN_ARGUMENTS_CHARS]
    context.grow(turn, len(content))
    turn["room"], turn["said"] = _fitted(turn["room"], content)
    calls: list[Call] = []
    own, most = 0, context.policy.document.models.bounds.calls if given else 2 * limits.calls_per_step
    for number, asked in enumerate(reply.tool_calls[:most], 1):
        name = asked.tool[:_NAME_CHARS]
        theirs = _may_be_theirs(context, turn, name)
        own += not theirs
        longest = context.policy.document.gating.arguments_chars if theirs else limits.arguments_chars
        shown = _shown_arguments(asked.arguments, longest if theirs else _SHOWN_ARGUMENTS_CHARS)
        context.grow(turn, len(shown))
        if len(shown) > turn["room"]:
            shown = "{}"
        turn["room"] -= min(len(shown), turn["room"])
        call = _call(context, f"{request_id}/call-{number}", f"call_{turn['step']}{retry}_{number}", name, shown)
        if not theirs and (own if given else number) > limits.calls_per_step:
            call.update({"decision": "denied", "reason": "not_run"})
        else:
            call = _request_call(context, audit_id, turn, call, name, _bounded(asked.arguments, longest))
        calls.append(call)
    turn["calls"] = calls


def _may_be_theirs(context: TurnContext, turn: Turn, function: str) -> bool:
    """Whether a call is the application's to run as far as is known before its decision."""
    if application.declares(turn, function):
        return True
    return application.observed(turn) and function not in context.policy.document.tools.by_function


def take_decision(context: TurnContext, turn: Turn, decision: ToolDecision) -> None:
    """Take in a decision on a call of ours; the first that is final counts.

    Of an observed turn, a call that is no tool of ours goes on to the application whatever was decided.
    """
    waits, observed = context.rules.waits, application.observed(turn)
    concerned = any(call["id"] == decision.call_id and _is_about(call, decision) for call in turn["calls"])
    verdict, runner = decision.decision, decision.runner
    if observed and verdict == "denied" and decision.tool is None:
        verdict, runner = "allowed", "application"

    def change(call: Call) -> Call:
        if not concerned or call["decision"] in ("allowed", "denied"):
            return call
        allowed = waits.result_ms if runner is None else waits.continuation_ms
        wait = {"pending": waits.approval_ms, "allowed": allowed}.get(verdict, 0)
        if verdict == "pending" and call["decision"] == "pending":
            return call
        changed: Call = {**call, "decision": verdict, "reason": decision.reason, "until": context.after(wait)}
        return changed if runner is None else {**changed, "runner": runner}

    turn["calls"] = _changed(turn["calls"], decision.call_id, change)
    if concerned and decision.decision == "denied" and decision.incident_id is not None and not observed:
        # The gate has cut the turn already; its tightened modulation is on its way.
        turn["tighten"] = True
        turn["revision"] = max(turn.get("revision", 0), decision.revision or 0)
        turn["until"] = context.after(waits.modulation_ms)


def _is_about(call: Call, decision: ToolDecision) -> bool:
    """Whether a decision under a call's id is about our call, and not about another record under that id."""
    ours = call.get("digest")
    if decision.reason == "conflicting_call" and (call["decision"] == "pending" or decision.arguments_digest != ours):
        return False
    return decision.arguments_digest is None or (
        decision.arguments_digest == ours and decision.function == call["tool"]
    )


def take_result(context: TurnContext, audit_id: str, turn: Turn, result: ToolResult) -> None:
    """Take a result in: moderated, shortened. It counts once an allowed decision is there; a second one does not."""
    asked = next((call for call in turn["calls"] if call["id"] == result.call_id), None)
    if asked is None or asked["result"] is not None or asked["decision"] == "denied" or asked.get("runner"):
        return
    if turn["phase"] == "retrieving":
        taken = _snippets(context, audit_id, turn, result)
    else:
        taken = _output(context, audit_id, turn, result)
    turn["calls"] = _changed(turn["calls"], result.call_id, lambda call: {**call, "result": taken})


def take_continuation(context: TurnContext, audit_id: str, turn: Turn, result: ToolResult) -> None:
    """Take in what the application's own tool gave, as a door of ours wrote it. The first result of a call counts.

    Raises Reject where it answers no call that was passed on: then it must not reach the model.
    """
    asked = next((call for call in turn["calls"] if call["id"] == result.call_id), None)
    if not context.trigger.sealed:
        raise Reject(
            "unsealed_result",
            f"call_id {result.call_id!r}: a result of the application's own tool that no door of ours wrote, expected "
            "one with a valid seal; send it through the gateway",
        )
    if asked is None or asked["decision"] != "allowed" or asked.get("runner") is None:
        raise Reject(
            "unknown_tool_call",
            f"call_id {result.call_id!r}: turn {audit_id!r} waits for no result of it from the application, expected "
            "the id of a call that was allowed and passed on in its latest model step",
        )
    if asked["result"] is None:
        taken = _output(context, audit_id, turn, result)
        turn["calls"] = _changed(turn["calls"], result.call_id, lambda call: {**call, "result": taken})
        if result.streamed is not None and (given := turn.get("application")) is not None:
            turn["application"] = application.continued(given, result.streamed, context.policy)


def continuation_expired(context: TurnContext, turn: Turn) -> bool:
    """Return whether the application has not brought the results of its own tools in time."""
    waited = [call for call in turn["calls"] if call.get("runner") and not settled(call)]
    return any(context.now >= call["until"] for call in waited)


def expire(context: TurnContext, turn: Turn) -> bool:
    """Give up, failing closed, on calls whose waiting has ended; whether there were any."""

    def late(call: Call) -> Call:
        if settled(call) or context.now < call["until"]:
            return call
        if call["decision"] == "allowed":
            return {**call, "result": {"status": "timeout", "text": ""}}
        reason = "approval_expired" if call["decision"] == "pending" else "no_decision"
        return {**call, "decision": "denied", "reason": reason}

    after = [late(call) for call in turn["calls"]]
    changed = after != turn["calls"]
    turn["calls"] = after
    return changed


def settled(call: Call) -> bool:
    """Return whether nothing more is waited for: denied, or allowed and come back."""
    return call["decision"] == "denied" or (call["decision"] == "allowed" and call["result"] is not None)


def take_snippets(context: TurnContext, turn: Turn) -> None:
    """Keep what the retrieval gave, now that it is over, one way or another."""
    result = turn["calls"][0]["result"] if turn["calls"][0]["decision"] == "allowed" else None
    found = [] if result is None else result.get("snippets", [])
    turn["snippets"] = found
    turn["room"] = max(0, turn["room"] - sum(len(source) + len(text) for source, text in found))
    turn["calls"] = []


def take_results(context: TurnContext, turn: Turn) -> None:
    """Add the outputs of a step's calls to the messages, now that all are settled."""
    words, contents = context.rules.words, []
    for call in turn["calls"]:
        name = call["tool"][:_SHOWN_NAME_CHARS]
        if call["decision"] == "allowed" and (result := call["result"]) is not None:  # settled: it has come back
            text = result["text"]
            if call.get("runner"):
                context.grow(turn, len(text))
            turn["room"], text = _fitted(turn["room"], text)
            if application.observed(turn) and call.get("runner"):
                contents.append(text)
                continue
            contents.append(framed(_plain_name(name), result["status"], text, words))
        elif call["reason"] == "not_run":
            contents.append(words.not_run.replace("{tool}", name))
        elif call["reason"] in _NOT_ALLOWED:
            contents.append(words.not_allowed.replace("{tool}", name))
        else:
            contents.append(words.denied.replace("{reason}", call["reason"] or "denied").replace("{tool}", name))
    shown: list[Call] = [{**call, "tool": _plain_name(call["tool"])} for call in turn["calls"]]
    turn["exchange"] = [*turn["exchange"], *exchange_of(turn.pop("said", "") or None, shown, contents)]
    turn["calls"] = []


def _snippets(context: TurnContext, audit_id: str, turn: Turn, result: ToolResult) -> CallResult:
    rules, chars_left = context.rules.retrieval, turn["room"]
    kept: list[list[str]] = []
    worst: Verdict | None = None
    for source, text in snippets_of(result.output)[: rules.snippets] if result.status == "ok" else []:
        source, text = source[:_SOURCE_CHARS], text[: rules.snippet_chars]
        verdict = judge(f"{source}\n{text}", "tool_output", context.preset(turn), context.policy.document.moderation)
        if verdict.flagged and (worst is None or verdict.score > worst.score):
            worst = verdict
        source, text = visible(source), visible(text)
        if not verdict.blocked and len(source) + len(text) <= chars_left:
            chars_left -= len(source) + len(text)
            kept.append([source, text])
    if worst is not None:
        flag(context, audit_id, turn, worst)
    return {"status": result.status, "snippets": kept}


def _output(context: TurnContext, audit_id: str, turn: Turn, result: ToolResult) -> CallResult:
    text, limits, observed = text_of(result.output), context.rules.limits, application.observed(turn)
    verdict = judge(text, "tool_output", context.preset(turn), context.policy.document.moderation)
    if verdict.flagged:
        flag(context, audit_id, turn, verdict)
    if verdict.blocked and not (observed and result.runner):
        text = context.rules.words.withheld_output.replace("{reason}", ", ".join(verdict.scores))
    elif result.runner is not None:
        text = application.output_of(text, turn, limits)
    elif len(text := visible(text)) > limits.tool_output_chars:
        text = text[: limits.tool_output_chars] + TRUNCATED
    return {"status": result.status, "text": text}


def _call(context: TurnContext, call_id: str, short: str, tool: str, shown: str) -> Call:
    """short: the call's id in messages, where providers take 40 characters at most."""
    until = context.after(context.rules.waits.decision_ms)
    return {
        "id": call_id,
        "short": short,
        "tool": tool,
        "arguments": shown,
        "decision": None,
        "reason": None,
        "result": None,
        "until": until,
    }


def _request_call(context: TurnContext, audit_id: str, turn: Turn, call: Call, tool: str, arguments: Any) -> Call:
    """Ask the gate for a call; the call with the digest that a decision on it names."""
    value: Json = {
        "call_id": call["id"],
        "audit_id": audit_id,
        "identity": context.trigger.identity,
        "tool": tool,
        "arguments": arguments,
        "step": turn["step"],
        "ts": context.now,
    }
    if application.declares(turn, tool):
        value["runner"] = "application"
    context.produce("tool-calls", value)
    return {**call, "digest": judged_arguments(arguments, context.policy.document.gating)[1]}


def _changed(calls: list[Call], call_id: str, change: Callable[[Call], Call]) -> list[Call]:
    return [change(call) if call["id"] == call_id else call for call in calls]


def _bounded(arguments: Any, chars: int) -> Any:
    """Arguments as they go to the gate: what is too long is cut to a text that is no JSON, and so refused there."""
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return arguments if len(text) <= chars else "!" + text[:chars]


def _shown_arguments(arguments: Any, chars: int) -> str:
    """Arguments as the model is shown them again: providers parse them, so what is no JSON object is shown empty."""
    try:
        found = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    except orjson.JSONDecodeError:
        return "{}"
    text = orjson.dumps(found).decode() if isinstance(found, dict) else "{}"
    return text if len(text) <= chars else "{}"


def _plain_name(name: str) -> str:
    """A function's name as providers take it in messages."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_SHOWN_NAME_CHARS] or "unnamed"


def _fitted(chars_left: int, text: str) -> tuple[int, str]:
    """(characters left after it, as much of the text as fits)."""
    if len(text) <= chars_left:
        return chars_left - len(text), text
    return 0, text[:chars_left] + TRUNCATED
