"""The way of a turn: as far as it goes without another record."""

from endocrine.agents.conversation import application
from endocrine.agents.conversation import tool_calls as calls
from endocrine.agents.conversation.memory import Json
from endocrine.agents.conversation.model_requests import ask
from endocrine.agents.conversation.moderation import drop_verdicts, heard, judge_answer
from endocrine.agents.conversation.reasoning import visible
from endocrine.agents.conversation.tool_calls import TRUNCATED
from endocrine.agents.conversation.turn_context import TurnContext, usage_of
from endocrine.schemas.models import ModelReply

_ENDS = {"error": "model_error", "timeout": "model_timeout", "refused": "model_refused"}
_KIND_CHARS = 48
HELD = "held"
"""Refusal of a turn that waits for a person: neither admitted nor ended."""


def advance(desk: TurnContext, audit_id: str, turn: Json) -> None:
    """Go on with a turn until it waits for something or has ended; remember it where it is still open."""
    while desk.is_open(audit_id) and not _waits(desk, turn):
        phase = turn["phase"]
        if phase == "opening":
            _begin(desk, audit_id, turn)
        elif phase == "ready":
            ask(desk, audit_id, turn)
        elif phase == "retrieving":
            calls.take_snippets(desk, turn)
            turn.update(phase="ready", step=1)
        elif phase == "tools":
            calls.take_results(desk, turn)
            turn.update(phase="ready", step=turn["step"] + 1, again=False)
        else:  # judging
            desk.close(audit_id, turn, "cut" if turn["cut"] else "answered", turn["answer"])
    if desk.is_open(audit_id):
        desk.put(audit_id, turn)


def hold(desk: TurnContext, turn: Json) -> None:
    """The turn waits for a person now. What the model made before, under looser parameters, is not used: the step is
    asked again when a person has let the turn go on."""
    expires = desk.now if turn["force"]["expires"] is None else turn["force"]["expires"]
    turn["until"] = max(turn["until"], expires + desk.rules.waits.modulation_ms / 1000)
    if turn["phase"] == "asking":
        turn["stale"] = True
    elif turn["phase"] == "judging":
        drop_verdicts(desk, turn)
        _ask_again(turn)


def replied(desk: TurnContext, audit_id: str, turn: Json, reply: ModelReply) -> None:
    """Take in a reply that is waited for: its cost, then what it says."""
    request, judges = turn["request"], turn["judges"]
    answer = request is not None and request["id"] == reply.request_id
    asked = request if answer else judges.get(reply.request_id)
    if asked is None:
        return
    desk.settle(asked["held"], usage_of(reply))
    if reply.usage is not None:
        turn["usage"] = [
            turn["usage"][0] + reply.usage.input_tokens,
            turn["usage"][1] + reply.usage.output_tokens,
        ]
    if reply.content is not None:  # a connector of another make may leave the reasoning in
        reply = reply.model_copy(update={"content": visible(reply.content)[0]})
    if answer:
        turn["request"] = None
        if turn.get("stale"):
            _ask_again(turn)
            return
        _answered(desk, audit_id, turn, reply)
    else:
        turn["judges"] = {name: judge for name, judge in judges.items() if name != reply.request_id}
        heard(desk, audit_id, turn, reply, asked["what"])


def expire(desk: TurnContext) -> None:
    """Whatever of the identity waits for a deadline that event time has reached meets it, and fails closed."""
    for audit_id in list(desk.memory["turns"]):
        turn = desk.turn(audit_id)
        if turn is None:
            continue
        if turn["request"] is not None and desk.now >= turn["request"]["until"]:
            desk.close(audit_id, turn, "model_timeout")
        elif any(desk.now >= verdict["until"] for verdict in turn["judges"].values()):
            if application.observed(turn):
                drop_verdicts(desk, turn)
                advance(desk, audit_id, turn)
            else:
                desk.close(audit_id, turn, "no_verdict")
        elif calls.left_alone(desk, turn):
            desk.close(audit_id, turn, "not_continued")
        elif turn["phase"] in ("opening", "ready") and desk.now >= turn["until"] and not turn["judges"]:
            desk.close(audit_id, turn, "no_modulation" if turn["force"] is None else "no_revision")
        elif calls.expire(desk, turn):
            advance(desk, audit_id, turn)


def _waits(desk: TurnContext, turn: Json) -> bool:
    """Whether the turn cannot go on before another record comes."""
    phase = turn["phase"]
    if phase in ("opening", "ready"):
        return bool(turn["judges"]) or not _settled(desk, turn)
    if phase in ("retrieving", "tools"):
        return not all(calls.settled(call) for call in turn["calls"])
    return phase == "asking" or bool(turn["judges"])


def _settled(desk: TurnContext, turn: Json) -> bool:
    """Whether the modulation in force is one that the turn may go on under."""
    force = turn["force"]
    if force is None:
        return False
    if application.observed(turn):
        return True
    if force["refusal"] is not None:
        return bool(force["refusal"] != HELD)
    if turn["need"] is not None:
        if force["risk"] < turn["need"]:
            return False
        turn["need"] = None
    if turn["tighten"]:
        strict = desk.policy.document.strict_allowlist
        if force["mode"] != "strict" or not set(force["parameters"]["tool_allowlist"]) <= set(strict):
            return False
        if force["revision"] < turn.get("revision", 0):
            return False
        turn["tighten"] = False
    return True


def _ask_again(turn: Json) -> None:
    turn.update(phase="ready", stale=False, answer=None, cut=False, holds=turn.get("holds", 0) + 1)


def _begin(desk: TurnContext, audit_id: str, turn: Json) -> None:
    refusal = turn["force"]["refusal"]
    if application.observed(turn):
        turn.update(phase="ready", step=1)
    elif refusal is not None:
        desk.close(audit_id, turn, refusal)
    elif calls.start_retrieval(desk, audit_id, turn):
        turn["phase"] = "retrieving"
    else:
        turn.update(phase="ready", step=1)


def _answered(desk: TurnContext, audit_id: str, turn: Json, reply: ModelReply) -> None:
    observed = application.observed(turn)
    content = (reply.content or "") if observed else (reply.content or "").strip()
    if reply.status != "ok":
        desk.close(audit_id, turn, _ENDS[reply.status], kind_of(reply.error))
    elif reply.tool_calls:
        own = all(call.tool in desk.policy.document.tools.by_function for call in reply.tool_calls)
        if turn["step"] >= desk.policy.document.gating.step_limit and (own or not observed):
            desk.close(audit_id, turn, "step_limit")
            return
        calls.start_calls(desk, audit_id, turn, reply)
        turn["phase"] = "tools"
    elif not content:
        filtered = reply.finish_reason == "content_filter"
        reason = "token_limit" if reply.finish_reason == "length" else "empty_answer"
        desk.close(audit_id, turn, "model_refused" if filtered else "model_error", reason)
    else:
        most = len(content) if observed else desk.rules.limits.answer_chars
        turn["cut"] = reply.finish_reason == "length" or len(content) > most
        turn["answer"] = content[:most] + TRUNCATED if len(content) > most else content
        judge_answer(desk, audit_id, turn)


def kind_of(error: str | None) -> str:
    """The kind of an error, which is what stands before the first colon; nothing else of it is shown to users.

    >>> kind_of("http_500: <html>..."), kind_of("see http://10.0.0.1/"), kind_of(None)
    ('http_500', 'see http', 'unspecified')
    """
    kind = (error or "").split(":")[0].strip()
    plain = kind and len(kind) <= _KIND_CHARS and all(c.isalnum() or c in "_- ." for c in kind)
    return kind if plain else "unspecified"
