"""Asking a model: the request for an answer, and the requests for verdicts."""

from typing import Any

import orjson

from endocrine.agents.conversation import application, budget
from endocrine.agents.conversation.capabilities import fitted
from endocrine.agents.conversation.compose import functions_of, messages_of, shown_to_model
from endocrine.agents.conversation.memory import Json
from endocrine.agents.conversation.turn_context import TurnContext

_COLD = {"temperature": 0.0, "top_p": 1.0, "reasoning_effort": 0.0}
"""How a verdict is asked for: as steadily as the model can."""


def ask(desk: TurnContext, audit_id: str, turn: Json) -> None:
    """Ask for the next step of a turn, or end it where the budget has no room for that; an observed one is asked."""
    rules, document, observed = desk.policy.document.budget, desk.policy.document, application.observed(turn)
    most = application.most_tokens(turn, turn["force"]["parameters"]["max_output_tokens"])
    room = desk.room()
    history = [] if application.of(turn).get("messages") else desk.memory["sessions"].get(turn["session"], [])
    tools = functions_of(turn["force"]["parameters"]["tool_allowlist"], desk.policy) + application.functions_of(turn)
    messages = messages_of(turn, history, turn["concise"], desk.policy)
    tokens = budget.prompt_tokens(messages, tools, rules)
    if not turn["concise"] and not observed and tokens + most > room.soft:
        turn["concise"] = True  # for the rest of the turn: one that has gone concise does not go back
        messages = messages_of(turn, history, True, desk.policy)
        tokens = budget.prompt_tokens(messages, tools, rules)
    if turn["concise"]:
        most = min(most, rules.concise_output_tokens)
    if tokens + most > room.free and not observed:
        desk.close(audit_id, turn, "budget_exceeded")
        return
    dropped: list[str] = []
    if observed:
        parameters = application.as_asked(turn, tools)
    else:
        own = list(getattr(document.prompt_styles, turn["force"]["style"]).stop_sequences)
        takes, wished = document.models.of(turn["model"]), application.wished(turn, turn["force"]["parameters"])
        parameters, dropped = fitted(wished, most, application.stops(turn, own), takes)
        passed, left = application.passed_on(turn, tools, document.models.api_of(turn["model"]))
        parameters, dropped = {**parameters, **passed}, [*dropped, *left]
    request_id = step_id(desk, audit_id, turn)
    turn["request"] = _request(
        desk, audit_id, turn, request_id, turn["model"], messages, tools, parameters, dropped, tokens + most, "answer"
    )
    turn["phase"] = "asking"


def ask_guardian(desk: TurnContext, audit_id: str, turn: Json) -> bool:
    """Ask a model for its verdict on the answer; False where the budget has no room for that."""
    guardian, rules = desk.rules.guardian, desk.policy.document.budget
    case = {"prompt": turn["prompt"], "answer": turn["answer"], "sources": [source for source, _ in turn["snippets"]]}
    messages = [
        {"role": "system", "content": guardian.instruction},
        {"role": "user", "content": orjson.dumps(case).decode()},
    ]
    tokens = budget.prompt_tokens(messages, [], rules) + guardian.max_output_tokens
    if tokens > desk.room().free:
        return False
    takes = desk.policy.document.models.of(guardian.model)
    parameters, dropped = fitted(_COLD, guardian.max_output_tokens, [], takes)
    request_id = f"{step_id(desk, audit_id, turn)}/guardian"
    asked = _request(
        desk, audit_id, turn, request_id, guardian.model, messages, [], parameters, dropped, tokens, "guardian"
    )
    turn["judges"] = {**turn["judges"], request_id: {"what": "guardian", **asked}}
    return True


def ask_moderation(desk: TurnContext, audit_id: str, turn: Json, what: str, text: str) -> None:
    """Ask the moderation provider for its scores of a text; that costs no tokens of the budget."""
    request_id = f"{step_id(desk, audit_id, turn)}/moderation"
    messages = [{"role": "user", "content": text}]
    model = turn["model"]
    asked = _request(desk, audit_id, turn, request_id, model, messages, [], {}, [], 0, "moderation")
    turn["judges"] = {**turn["judges"], request_id: {"what": what, **asked}}


def step_id(desk: TurnContext, audit_id: str, turn: Json) -> str:
    """The request id of a turn's step: `audit_id/step`, `/again` where it is asked a second time after a veto, and
    `/held-N` after the turn was held for the N-th time while the model was asked."""
    again = "/again" if turn["again"] else ""
    held = f"/held-{turn['holds']}" if turn.get("holds") else ""
    return f"{desk.base(audit_id)}/{turn['step']}{again}{held}"


def _request(
    desk: TurnContext,
    audit_id: str,
    turn: Json,
    request_id: str,
    model: str,
    messages: list[Json],
    tools: list[Json],
    parameters: Json,
    dropped: list[str],
    held: int,
    purpose: str,
) -> dict[str, Any]:
    waits, given, observed = desk.rules.waits, application.of(turn), application.observed(turn)
    desk.hold(held)
    value = {
        "request_id": request_id,
        "audit_id": audit_id,
        "identity": desk.trigger.identity,
        "step": turn["step"],
        "model": model,
        "messages": messages if observed else [shown_to_model(message) for message in messages],
        "tools": tools,
        "parameters": parameters,
        "dropped": dropped,
        "deadline_ms": waits.reply_ms,
        "purpose": purpose,
        "concise": turn["concise"] if purpose == "answer" else None,
        "reserved_tokens": held,
        "ts": desk.now,
    }
    if purpose == "answer":
        carried = {"stream": given.get("stream"), "asked": given.get("asked"), "enforce": False if observed else None}
        value |= {name: one for name, one in carried.items() if one is not None}
    desk.say("model-requests", value)
    return {"id": request_id, "held": held, "until": desk.after(waits.reply_ms + waits.reply_grace_ms)}
