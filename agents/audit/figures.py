"""Figures of a bundle: how long the turn took, what tokens it used, what they cost, which tools were degraded."""

from collections.abc import Iterable
from typing import Any

from endocrine.agents.audit.memory import SAFE_INTEGER, Call, Exchange, Json
from endocrine.agents.conversation.capabilities import ModelRules
from endocrine.schemas.models import ModelReply

_MILLION = 1_000_000
_DIGITS = 9
"""Of a dollar, after the point: a thousandth of the price of one token at 1 dollar per million."""
_ANSWER = (None, "answer")


def dollars(reply: ModelReply, rules: ModelRules) -> float | None:
    """Return what a reply cost; None where its model has no price or its tokens were not counted."""
    price = rules.of(reply.model).price
    if price is None or reply.usage is None:
        return None
    spent = price.input * reply.usage.input_tokens + price.output * reply.usage.output_tokens
    return round(spent / _MILLION, _DIGITS)


def latency(opened: Json | None, closed: Json | None, exchanges: Iterable[Exchange], calls: Iterable[Call]) -> Json:
    """Return milliseconds in all and by model step. exchanges: {request, reply}; calls: with their results."""
    total = None
    if opened is not None and closed is not None:
        total = max(0.0, round((closed["ts"] - opened["ts"]) * 1000, 3))
    models: dict[int, float] = {}
    for reply in (exchange["reply"] for exchange in exchanges if exchange["reply"] is not None):
        models[reply["step"]] = models.get(reply["step"], 0.0) + reply["latency_ms"]
    tools: dict[int, float] = {}
    for call in calls:
        if call["result"] is not None and call["step"] is not None:
            tools[call["step"]] = tools.get(call["step"], 0.0) + call["result"]["duration_ms"]
    steps = [
        {"step": step, "model_ms": _rounded(models.get(step)), "tools_ms": _rounded(tools.get(step))}
        for step in sorted({*models, *tools})
    ]
    return {"total": total, "steps": steps}


def tokens(exchanges: Iterable[Exchange]) -> list[Json]:
    """Return the tokens of each model step, and those by which its tools made the next prompt longer."""
    spent: dict[int, list[int]] = {}
    answers: dict[int, tuple[int, int]] = {}
    for exchange in exchanges:
        request, reply = exchange["request"] or {}, exchange["reply"]
        if reply is None or reply["usage"] is None:
            continue
        usage = (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"])
        so_far = spent.setdefault(reply["step"], [0, 0])
        so_far[0], so_far[1] = so_far[0] + usage[0], so_far[1] + usage[1]
        if request.get("purpose") in _ANSWER:
            answers[reply["step"]] = usage
    by_step = []
    for step, (tokens_in, tokens_out) in sorted(spent.items()):
        grown = None
        if step in answers and step + 1 in answers:
            grown = max(0, answers[step + 1][0] - sum(answers[step]))
        model = {"input_tokens": min(tokens_in, SAFE_INTEGER), "output_tokens": min(tokens_out, SAFE_INTEGER)}
        by_step.append({"step": step, "model": model, "tools": grown})
    return by_step


def cost(exchanges: Iterable[Exchange]) -> Json:
    """Return what the replies cost, in all and by the model that answered."""
    models: dict[str, float | None] = {}
    for reply in (exchange["reply"] for exchange in exchanges if exchange["reply"] is not None):
        paid, before = reply.get("dollars"), models.get(reply["model"], 0.0)
        models[reply["model"]] = None if paid is None or before is None else round(before + paid, _DIGITS)
    known = [paid for paid in models.values() if paid is not None]
    return {
        "currency": "USD",
        "total": round(sum(known), _DIGITS) if known else None,
        "models": {model: models[model] for model in sorted(models)},
    }


def degraded(calls: Iterable[Call]) -> list[str]:
    """Return the tools of ours with a breaker open: the gate's, or that of what runs them."""
    found: set[Any] = set()
    for call in calls:
        if call["reason"] == "circuit_open":
            found.add(call["tool"])
        if call["result"] is not None and call["result"].get("degraded"):
            found.add(call["result"]["tool"])
    return sorted(found - {None})


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
