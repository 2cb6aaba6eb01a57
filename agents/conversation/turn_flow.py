"""The way of a turn: as far as it goes without another record."""

from endocrine.agents.conversation import application, tool_calls
from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.model_requests import ask
from endocrine.agents.conversation.moderation import drop_verdicts, judge_answer, take_verdict
from endocrine.agents.conversation.reasoning import visible
from endocrine.agents.conversation.state import Turn
from endocrine.agents.conversation.tool_calls import TRUNCATED
from endocrine.agents.conversation.turn_context import TurnContext, usage_of
from endocrine.schemas.models import ModelReply

_ENDS = {"error": "model_error", "timeout": "model_timeout", "refused": "model_refused"}
_KIND_CHARS = 48
HELD = "held"
"""Refusal of a turn that waits for a person: neither admitted nor ended."""


def advance(context: TurnContext, audit_id: str, turn: Turn) -> None:
    """Go on with a turn until it waits for something or has ended; keep it where it is still open."""
    while context.is_open(audit_id) and not _waits(context, turn):
        phase = turn["phase"]
        if phase == "opening":
            _begin(context, audit_id, turn)
        elif phase == "ready":
            ask(context, audit_id, turn)
        elif phase == "retrieving":
            tool_calls.take_snippets(context, turn)
            turn.update({"phase": "ready", "step": 1})
        elif phase == "tools":
            tool_calls.take_results(context, turn)
            turn.update({"phase": "ready", "step": turn["step"] + 1, "again": False})
        else:  # judging
            context.close(audit_id, turn, "cut" if turn["cut"] else "answered", turn["answer"] or "")
    if context.is_open(audit_id):
        context.put(audit_id, turn)


def hold(context: TurnContext, turn: Turn) -> None:
    """Make the turn wait for a person.

    What the model made before, under looser parameters, is not used: the step is asked again when a person has let the
    turn go on.
    """
    expires = in_force(turn)["expires"]
    waits_until = context.now if expires is None else expires
    turn["until"] = max(turn["until"], waits_until + context.rules.waits.modulation_ms / 1000)
    if turn["phase"] == "asking":
        turn["stale"] = True
    elif turn["phase"] == "judging":
        drop_verdicts(context, turn)
        _ask_again(turn)


def take_reply(context: TurnContext, audit_id: str, turn: Turn, reply: ModelReply) -> None:
    """Take in a reply that is waited for: its cost, then its content."""
    request, judges = turn["request"], turn["judges"]
    answer = request if request is not None and request["id"] == reply.request_id else None
    verdict = judges.get(reply.request_id)
    asked = answer or verdict
    if asked is None:
        return
    context.settle(asked["held"], usage_of(reply))
    if reply.usage is not None:
        turn["usage"] = [
            turn["usage"][0] + reply.usage.input_tokens,
            turn["usage"][1] + reply.usage.output_tokens,
        ]
    if reply.content is not None:  # a connector of another make may leave the reasoning in
        reply = reply.model_copy(update={"content": visible(reply.content)[0]})
    if answer is not None:
        turn["request"] = None
        if turn.get("stale"):
            _ask_again(turn)
            return
        _answered(context, audit_id, turn, reply)
    elif verdict is not None:
        turn["judges"] = {name: judge for name, judge in judges.items() if name != reply.request_id}
        take_verdict(context, audit_id, turn, reply, verdict["what"])


def expire(context: TurnContext) -> None:
    """End, failing closed, every wait of the identity whose deadline event time has reached."""
    for audit_id in list(context.state["turns"]):
        turn = context.turn(audit_id)
        if turn is None:
            continue
        if turn["request"] is not None and context.now >= turn["request"]["until"]:
            context.close(audit_id, turn, "model_timeout")
        elif any(context.now >= verdict["until"] for verdict in turn["judges"].values()):
            if application.observed(turn):
                drop_verdicts(context, turn)
                advance(context, audit_id, turn)
            else:
                context.close(audit_id, turn, "no_verdict")
        elif tool_calls.continuation_expired(context, turn):
            context.close(audit_id, turn, "not_continued")
        elif turn["phase"] in ("opening", "ready") and context.now >= turn["until"] and not turn["judges"]:
            context.close(audit_id, turn, "no_modulation" if turn["force"] is None else "no_revision")
        elif tool_calls.expire(context, turn):
            advance(context, audit_id, turn)


def _waits(context: TurnContext, turn: Turn) -> bool:
    """Whether the turn cannot go on before another record comes."""
    phase = turn["phase"]
    if phase in ("opening", "ready"):
        return bool(turn["judges"]) or not _settled(context, turn)
    if phase in ("retrieving", "tools"):
        return not all(tool_calls.settled(call) for call in turn["calls"])
    return phase == "asking" or bool(turn["judges"])


def _settled(context: TurnContext, turn: Turn) -> bool:
    """Whether the modulation in effective is one that the turn may go on under."""
    effective = turn["force"]
    if effective is None:
        return False
    if application.observed(turn):
        return True
    if effective["refusal"] is not None:
        return effective["refusal"] != HELD
    if turn["need"] is not None:
        if effective["risk"] < turn["need"]:
            return False
        turn["need"] = None
    if turn["tighten"]:
        strict = context.policy.document.strict_allowlist
        if effective["mode"] != "strict" or not set(effective["parameters"]["tool_allowlist"]) <= set(strict):
            return False
        if effective["revision"] < turn.get("revision", 0):
            return False
        turn["tighten"] = False
    return True


def _ask_again(turn: Turn) -> None:
    holds = turn.get("holds", 0) + 1
    turn.update({"phase": "ready", "stale": False, "answer": None, "cut": False, "holds": holds})


def _begin(context: TurnContext, audit_id: str, turn: Turn) -> None:
    refusal = in_force(turn)["refusal"]
    if application.observed(turn):
        turn.update({"phase": "ready", "step": 1})
    elif refusal is not None:
        context.close(audit_id, turn, refusal)
    elif tool_calls.start_retrieval(context, audit_id, turn):
        turn["phase"] = "retrieving"
    else:
        turn.update({"phase": "ready", "step": 1})


def _answered(context: TurnContext, audit_id: str, turn: Turn, reply: ModelReply) -> None:
    observed = application.observed(turn)
    content = (reply.content or "") if observed else (reply.content or "").strip()
    if reply.status != "ok":
        context.close(audit_id, turn, _ENDS[reply.status], kind_of(reply.error))
    elif reply.tool_calls:
        own = all(call.tool in context.policy.document.tools.by_function for call in reply.tool_calls)
        if turn["step"] >= context.policy.document.gating.step_limit and (own or not observed):
            context.close(audit_id, turn, "step_limit")
            return
        tool_calls.start_calls(context, audit_id, turn, reply)
        turn["phase"] = "tools"
    elif not content:
        filtered = reply.finish_reason == "content_filter"
        reason = "token_limit" if reply.finish_reason == "length" else "empty_answer"
        context.close(audit_id, turn, "model_refused" if filtered else "model_error", reason)
    else:
        most = len(content) if observed else context.rules.limits.answer_chars
        turn["cut"] = reply.finish_reason == "length" or len(content) > most
        answer = content[:most] + TRUNCATED if len(content) > most else content
        judge_answer(context, audit_id, turn, answer)


def kind_of(error: str | None) -> str:
    """Return the kind of an error, the text before the first colon; nothing else of it is shown to users.

    >>> kind_of("http_500: <html>..."), kind_of("see http://10.0.0.1/"), kind_of(None)
    ('http_500', 'see http', 'unspecified')
    """
    kind = (error or "").split(":")[0].strip()
    plain = kind and len(kind) <= _KIND_CHARS and all(c.isalnum() or c in "_- ." for c in kind)
    return kind if plain else "unspecified"
