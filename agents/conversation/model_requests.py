"""Asking a model: the request for an answer, and the requests for verdicts."""

import orjson

from endocrine.agents.conversation import application, budget
from endocrine.agents.conversation.capabilities import fitted
from endocrine.agents.conversation.compose import functions_of, messages_of, shown_to_model
from endocrine.agents.conversation.memory import in_force
from endocrine.agents.conversation.state import Json, Judged, Reservation, Turn, Verdict
from endocrine.agents.conversation.turn_context import TurnContext

_COLD = {"temperature": 0.0, "top_p": 1.0, "reasoning_effort": 0.0}
"""How a verdict is asked for: as steadily as the model can."""


def ask(context: TurnContext, audit_id: str, turn: Turn) -> None:
    """Ask for the next step of a turn, or end it where the budget leaves too little for that.

    An observed turn is asked whatever the budget leaves.
    """
    rules, document, observed = context.policy.document.budget, context.policy.document, application.observed(turn)
    effective = in_force(turn)
    most = application.most_tokens(turn, effective["parameters"]["max_output_tokens"])
    left = context.tokens_left()
    history = [] if application.messages_of(turn) else context.state["sessions"].get(turn["session"], [])
    tools = functions_of(effective["parameters"]["tool_allowlist"], context.policy)
    tools += application.functions_of(turn)
    messages = messages_of(turn, history, turn["concise"], context.policy)
    tokens = budget.prompt_tokens(messages, tools, rules)
    if not turn["concise"] and not observed and tokens + most > left.soft:
        turn["concise"] = True  # for the rest of the turn: one that has gone concise does not go back
        messages = messages_of(turn, history, True, context.policy)
        tokens = budget.prompt_tokens(messages, tools, rules)
    if turn["concise"]:
        most = min(most, rules.concise_output_tokens)
    if tokens + most > left.free and not observed:
        context.close(audit_id, turn, "budget_exceeded")
        return
    dropped: list[str] = []
    if observed:
        parameters = application.as_asked(turn, tools)
    else:
        own = list(getattr(document.prompt_styles, effective["style"]).stop_sequences)
        takes, wished = document.models.of(turn["model"]), application.wished(turn, effective["parameters"])
        parameters, dropped = fitted(wished, most, application.stops(turn, own), takes)
        passed, not_taken = application.passed_on(turn, tools, document.models.api_of(turn["model"]))
        parameters, dropped = {**parameters, **passed}, [*dropped, *not_taken]
    request_id = step_id(context, audit_id, turn)
    turn["request"] = _request(
        context,
        audit_id,
        turn,
        request_id,
        turn["model"],
        messages,
        tools,
        parameters,
        dropped,
        tokens + most,
        "answer",
    )
    turn["phase"] = "asking"


def ask_guardian(context: TurnContext, audit_id: str, turn: Turn) -> bool:
    """Ask a model for its verdict on the answer; False where the budget leaves too little for that."""
    guardian, rules = context.rules.guardian, context.policy.document.budget
    case = {"prompt": turn["prompt"], "answer": turn["answer"], "sources": [source for source, _ in turn["snippets"]]}
    messages = [
        {"role": "system", "content": guardian.instruction},
        {"role": "user", "content": orjson.dumps(case).decode()},
    ]
    tokens = budget.prompt_tokens(messages, [], rules) + guardian.max_output_tokens
    if tokens > context.tokens_left().free:
        return False
    takes = context.policy.document.models.of(guardian.model)
    parameters, dropped = fitted(_COLD, guardian.max_output_tokens, [], takes)
    request_id = f"{step_id(context, audit_id, turn)}/guardian"
    asked = _request(
        context, audit_id, turn, request_id, guardian.model, messages, [], parameters, dropped, tokens, "guardian"
    )
    verdict: Verdict = {"what": "guardian", **asked}
    turn["judges"] = {**turn["judges"], request_id: verdict}
    return True


def ask_moderation(context: TurnContext, audit_id: str, turn: Turn, what: Judged, text: str) -> None:
    """Ask the moderation provider for its scores of a text; that costs no tokens of the budget."""
    request_id = f"{step_id(context, audit_id, turn)}/moderation"
    messages = [{"role": "user", "content": text}]
    model = turn["model"]
    asked = _request(context, audit_id, turn, request_id, model, messages, [], {}, [], 0, "moderation")
    verdict: Verdict = {"what": what, **asked}
    turn["judges"] = {**turn["judges"], request_id: verdict}


def step_id(context: TurnContext, audit_id: str, turn: Turn) -> str:
    """Return the request id of a turn's step: `audit_id/step`, `/again` where it is a retry after a veto, and
    `/held-N` after the turn was held for the N-th time while the model was asked."""
    retry = "/again" if turn["again"] else ""
    held = f"/held-{turn['holds']}" if turn.get("holds") else ""
    return f"{context.base(audit_id)}/{turn['step']}{retry}{held}"


def _request(
    context: TurnContext,
    audit_id: str,
    turn: Turn,
    request_id: str,
    model: str,
    messages: list[Json],
    tools: list[Json],
    parameters: Json,
    dropped: list[str],
    held: int,
    purpose: str,
) -> Reservation:
    waits, given, observed = context.rules.waits, turn.get("application"), application.observed(turn)
    context.reserve(held)
    value: Json = {
        "request_id": request_id,
        "audit_id": audit_id,
        "identity": context.trigger.identity,
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
        "ts": context.now,
    }
    if purpose == "answer":
        carried = {} if given is None else {"stream": given["stream"], "asked": given["asked"]}
        value |= {name: one for name, one in carried.items() if one is not None}
        if observed:
            value["enforce"] = False
    context.produce("model-requests", value)
    return {"id": request_id, "held": held, "until": context.after(waits.reply_ms + waits.reply_grace_ms)}
