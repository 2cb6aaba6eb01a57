"""Tool calls of a turn: asked for, decided, come back; what the model is told of them."""

import re
from typing import Any

import orjson

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents._shared.normalise import visible
from endocrine.agents._shared.summaries import retrieval_id
from endocrine.agents.contract import Reject
from endocrine.agents.conversation import application
from endocrine.agents.conversation.compose import exchange_of, framed, snippets_of, text_of
from endocrine.agents.conversation.memory import Json
from endocrine.agents.conversation.model_requests import step_id
from endocrine.agents.conversation.moderation import flag
from endocrine.agents.conversation.turn_context import TurnContext
from endocrine.agents.moderation.local import Verdict, judge
from endocrine.schemas.models import ModelReply
from endocrine.schemas.tools import ToolDecision, ToolResult

_NAME_CHARS = 256
_SHOWN_NAME_CHARS = 64
_SHOWN_ARGUMENTS_CHARS = 2000
_SOURCE_CHARS = 120
_NOT_ALLOWED = ("unknown_tool", "not_in_allowlist", "disabled_by_flag", "approval_denied", "no_decision")
"""Denials that the model is told in the words of rules 4; of others it is told the reason too."""
TRUNCATED = "[truncated]"


def start_retrieval(desk: TurnContext, audit_id: str, turn: Json) -> bool:
    """Ask the retrieval tool for snippets where the policy says so and the turn may; False where not."""
    rules, registry = desk.rules.retrieval, desk.policy.document.tools
    spec = registry.root.get(rules.tool)
    parameters = turn["force"]["parameters"]
    wanted = min(parameters["retrieval_k"], rules.k_max)
    if not rules.enabled or spec is None or rules.tool not in parameters["tool_allowlist"] or wanted < 1:
        return False
    arguments = {"query": turn["prompt"][: rules.query_chars], "k": wanted}
    call = _call(desk, retrieval_id(audit_id), "retrieval", spec.function, "{}")
    turn["calls"] = [_asked(desk, audit_id, turn, call, spec.function, arguments)]
    return True


def start_calls(desk: TurnContext, audit_id: str, turn: Json, reply: ModelReply) -> None:
    """Hand all calls of a reply to the gate at once; those of our tools beyond the bound are not even asked for."""
    limits, request_id = desk.rules.limits, step_id(desk, audit_id, turn)
    given = bool(application.of(turn))
    mark = "b" if turn["again"] else ""
    content = (reply.content or "")[: limits.answer_chars if given else _SHOWN_ARGUMENTS_CHARS]
    desk.grow(turn, len(content))
    turn["room"], said = _fit(turn["room"], content)
    turn["said"] = said
    calls: list[Json] = []
    own, most = 0, desk.policy.document.models.bounds.calls if given else 2 * limits.calls_per_step
    for number, asked in enumerate(reply.tool_calls[:most], 1):
        name = asked.tool[:_NAME_CHARS]
        theirs = _may_be_theirs(desk, turn, name)
        own += not theirs
        longest = desk.policy.document.gating.arguments_chars if theirs else limits.arguments_chars
        shown = _shown_arguments(asked.arguments, longest if theirs else _SHOWN_ARGUMENTS_CHARS)
        desk.grow(turn, len(shown))
        if len(shown) > turn["room"]:
            shown = "{}"
        turn["room"] -= min(len(shown), turn["room"])
        call = _call(desk, f"{request_id}/call-{number}", f"call_{turn['step']}{mark}_{number}", name, shown)
        if not theirs and (own if given else number) > limits.calls_per_step:
            call.update(decision="denied", reason="not_run")
        else:
            call = _asked(desk, audit_id, turn, call, name, _bounded(asked.arguments, longest))
        calls.append(call)
    turn["calls"] = calls


def _may_be_theirs(desk: TurnContext, turn: Json, function: str) -> bool:
    """Whether a call is the application's to run as far as is known before its decision."""
    if application.declares(turn, function):
        return True
    return application.observed(turn) and function not in desk.policy.document.tools.by_function


def decided(desk: TurnContext, turn: Json, decision: ToolDecision) -> None:
    """Take in a decision on a call of ours; the first that is final counts.

    Of an observed turn, a call that is no tool of ours goes on to the application whatever was decided.
    """
    waits, observed = desk.rules.waits, application.observed(turn)
    concerned = any(call["id"] == decision.call_id and _is_about(call, decision) for call in turn["calls"])
    verdict, runner = decision.decision, decision.runner
    if observed and verdict == "denied" and decision.tool is None:
        verdict, runner = "allowed", "application"

    def change(call: Json) -> Json:
        if not concerned or call["decision"] in ("allowed", "denied"):
            return call
        allowed = waits.result_ms if runner is None else waits.continuation_ms
        wait = {"pending": waits.approval_ms, "allowed": allowed}.get(verdict, 0)
        if verdict == "pending" and call["decision"] == "pending":
            return call
        whose = {} if runner is None else {"runner": runner}
        return {**call, "decision": verdict, "reason": decision.reason, "until": desk.after(wait), **whose}

    turn["calls"] = _changed(turn["calls"], decision.call_id, change)
    if concerned and decision.decision == "denied" and decision.incident_id is not None and not observed:
        # The gate has cut the turn already; its tightened modulation is on its way.
        turn["tighten"] = True
        turn["revision"] = max(turn.get("revision", 0), decision.revision or 0)
        turn["until"] = desk.after(waits.modulation_ms)


def _is_about(call: Json, decision: ToolDecision) -> bool:
    """Whether a decision under a call's id is about our call, and not about another record under that id."""
    ours = call.get("digest")
    if decision.reason == "conflicting_call" and (call["decision"] == "pending" or decision.arguments_digest != ours):
        return False
    return decision.arguments_digest is None or (
        decision.arguments_digest == ours and decision.function == call["tool"]
    )


def came_back(desk: TurnContext, audit_id: str, turn: Json, result: ToolResult) -> None:
    """Take a result in: moderated, shortened. It counts once an allowed decision is there; the first one stands."""
    asked = next((call for call in turn["calls"] if call["id"] == result.call_id), None)
    if asked is None or asked["result"] is not None or asked["decision"] == "denied" or asked.get("runner"):
        return
    if turn["phase"] == "retrieving":
        taken: Any = _snippets(desk, audit_id, turn, result)
    else:
        taken = _output(desk, audit_id, turn, result)
    turn["calls"] = _changed(turn["calls"], result.call_id, lambda call: {**call, "result": taken})


def continued(desk: TurnContext, audit_id: str, turn: Json, result: ToolResult) -> None:
    """Take in what the application's own tool gave, as a door of ours wrote it. The first result of a call stands.

    Raises Reject where it answers no call that was passed on: then it must not reach the model.
    """
    asked = next((call for call in turn["calls"] if call["id"] == result.call_id), None)
    if not desk.trigger.sealed:
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
        taken = _output(desk, audit_id, turn, result)
        turn["calls"] = _changed(turn["calls"], result.call_id, lambda call: {**call, "result": taken})


def left_alone(desk: TurnContext, turn: Json) -> bool:
    """Whether the application has not brought the results of its own tools in time."""
    waited = [call for call in turn["calls"] if call.get("runner") and not settled(call)]
    return any(desk.now >= call["until"] for call in waited)


def expire(desk: TurnContext, turn: Json) -> bool:
    """Give up, failing closed, on calls whose waiting has ended; whether there were any."""

    def late(call: Json) -> Json:
        if settled(call) or desk.now < call["until"]:
            return call
        if call["decision"] == "allowed":
            return {**call, "result": {"status": "timeout", "text": ""}}
        reason = "approval_expired" if call["decision"] == "pending" else "no_decision"
        return {**call, "decision": "denied", "reason": reason}

    after = [late(call) for call in turn["calls"]]
    changed: bool = after != turn["calls"]
    turn["calls"] = after
    return changed


def settled(call: Json) -> bool:
    """Whether nothing more is waited for: denied, or allowed and come back."""
    return bool(call["decision"] == "denied" or (call["decision"] == "allowed" and call["result"] is not None))


def take_snippets(desk: TurnContext, turn: Json) -> None:
    """The retrieval is over, one way or another: keep what it gave."""
    result = turn["calls"][0]["result"] if turn["calls"][0]["decision"] == "allowed" else None
    found = [] if result is None else result.get("snippets", [])
    turn["snippets"] = found
    turn["room"] = max(0, turn["room"] - sum(len(source) + len(text) for source, text in found))
    turn["calls"] = []


def take_results(desk: TurnContext, turn: Json) -> None:
    """All calls of a step are settled: their outputs become messages."""
    words, contents = desk.rules.words, []
    for call in turn["calls"]:
        name = call["tool"][:_SHOWN_NAME_CHARS]
        if call["decision"] == "allowed":
            text = call["result"]["text"]
            if call.get("runner"):
                desk.grow(turn, len(text))
            turn["room"], text = _fit(turn["room"], text)
            if application.observed(turn) and call.get("runner"):
                contents.append(text)
                continue
            contents.append(framed(_plain_name(name), call["result"]["status"], text, words))
        elif call["reason"] == "not_run":
            contents.append(words.not_run.replace("{tool}", name))
        elif call["reason"] in _NOT_ALLOWED:
            contents.append(words.not_allowed.replace("{tool}", name))
        else:
            contents.append(words.denied.replace("{reason}", call["reason"] or "denied").replace("{tool}", name))
    shown = [{**call, "tool": _plain_name(call["tool"])} for call in turn["calls"]]
    turn["exchange"] = [*turn["exchange"], *exchange_of(turn.pop("said", "") or None, shown, contents)]
    turn["calls"] = []


def _snippets(desk: TurnContext, audit_id: str, turn: Json, result: ToolResult) -> Json:
    rules, room = desk.rules.retrieval, turn["room"]
    kept: list[list[str]] = []
    worst: Verdict | None = None
    for source, text in snippets_of(result.output)[: rules.snippets] if result.status == "ok" else []:
        source, text = source[:_SOURCE_CHARS], text[: rules.snippet_chars]
        verdict = judge(f"{source}\n{text}", "tool_output", desk.preset(turn), desk.policy.document.moderation)
        if verdict.flagged and (worst is None or verdict.score > worst.score):
            worst = verdict
        source, text = visible(source), visible(text)
        if not verdict.blocked and len(source) + len(text) <= room:
            room -= len(source) + len(text)
            kept.append([source, text])
    if worst is not None:
        flag(desk, audit_id, turn, worst)
    return {"status": result.status, "snippets": kept}


def _output(desk: TurnContext, audit_id: str, turn: Json, result: ToolResult) -> Json:
    text, limits, observed = text_of(result.output), desk.rules.limits, application.observed(turn)
    verdict = judge(text, "tool_output", desk.preset(turn), desk.policy.document.moderation)
    if verdict.flagged:
        flag(desk, audit_id, turn, verdict)
    if verdict.blocked and not (observed and result.runner):
        text = desk.rules.words.withheld_output.replace("{reason}", ", ".join(verdict.scores))
    elif result.runner is not None:
        text = application.output_of(text, turn, limits)
    elif len(text := visible(text)) > limits.tool_output_chars:
        text = text[: limits.tool_output_chars] + TRUNCATED
    return {"status": result.status, "text": text}


def _call(desk: TurnContext, call_id: str, short: str, tool: str, shown: str) -> Json:
    """short: the call's id in messages, where providers take 40 characters at most."""
    until = desk.after(desk.rules.waits.decision_ms)
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


def _asked(desk: TurnContext, audit_id: str, turn: Json, call: Json, tool: str, arguments: Any) -> Json:
    """Ask the gate for a call; the call with the digest that a decision on it names."""
    value = {
        "call_id": call["id"],
        "audit_id": audit_id,
        "identity": desk.trigger.identity,
        "tool": tool,
        "arguments": arguments,
        "step": turn["step"],
        "ts": desk.now,
    }
    if application.declares(turn, tool):
        value["runner"] = "application"
    desk.say("tool-calls", value)
    return {**call, "digest": judged_arguments(arguments, desk.policy.document.gating)[1]}


def _changed(calls: list[Json], call_id: str, change: Any) -> list[Json]:
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


def _fit(room: int, text: str) -> tuple[int, str]:
    """(room left, as much of the text as fits)."""
    if len(text) <= room:
        return room - len(text), text
    return 0, text[:room] + TRUNCATED
