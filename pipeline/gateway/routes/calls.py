"""Tool calls: produced, decided, answered. Without a decision in time the call may not run: fail closed."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.pipeline.gateway.answers import awaited
from endocrine.pipeline.gateway.bodies import an_object, read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.idempotency import HEADER, Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked, filled, produced, timing
from endocrine.pipeline.gateway.routes.captures import batch_response
from endocrine.pipeline.gateway.row import Row, json_response
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Watch

Json = dict[str, Any]
_REVISION_S = 0.5
"""Seconds that the revision after a denial is waited for; the answer names it either way."""


async def decide(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/tool-calls."""
    limits = gateway.limits
    body = await read_body(request, limits.body_bytes, limits.read_s, limits.batch_records)
    items = [an_object(item) for item in body.items]
    if not body.batch:
        return await _named(gateway, request, caller, items[0])
    if HEADER not in request.headers:
        named = [_line(_named(gateway, request, caller, item), number) for number, item in enumerate(items)]
        return batch_response(body, await asyncio.gather(*named))
    slot = await gateway.idempotency.begin(caller, request, body.items)
    if slot.answer is not None:
        return slot.answer
    ones = [_line(_one(gateway, request, caller, slot, item, number), number) for number, item in enumerate(items)]
    answers = await asyncio.gather(*ones)
    answer = batch_response(body, answers)
    gateway.idempotency.finish_decided(slot, answer, [one["status"] for one in answers])
    return answer


async def _named(gateway: Gateway, request: Request, caller: Caller, item: Json) -> Response:
    """Without a key a call is named by its own id, alone or in a batch: asked again, it is the same call."""
    digest = hashlib.sha256(orjson.dumps(item, option=orjson.OPT_SORT_KEYS)).hexdigest()
    slot = await gateway.idempotency.begin(caller, request, item, implied=f"call {digest}")
    if slot.answer is not None:
        return slot.answer
    answer = await _one(gateway, request, caller, slot, item, 0)
    gateway.idempotency.finish_decided(slot, answer)
    return answer


async def _line(answering: Coroutine[Any, Any, Response], index: int) -> Json:
    """The answer's entry of one call of a batch."""
    try:
        answer = await answering
    except Problem as problem:
        return {"index": index, "status": problem.status, "error": problem.as_json()}
    return {"index": index, "status": answer.status_code, **orjson.loads(answer.body)}


async def _one(gateway: Gateway, request: Request, caller: Caller, slot: Slot, item: Json, index: int) -> Response:
    value = filled("tool-calls", item, request, caller, slot, index)
    value.setdefault("step", 1)
    value = checked(gateway, "tool-calls", value)
    _, digest = judged_arguments(value["arguments"], gateway.policy.of(value["identity"]).document.gating)
    awaiting, call_id, within_s = gateway.awaiting, value["call_id"], gateway.limits.decision_s
    with awaiting.turn(value["identity"], value["audit_id"], record_ids=[value["id"]]) as watch:
        watch.asked = value
        try:
            ack = await produced(gateway, request, "tool-calls", value)
        except Problem:
            gateway.metrics.undecided.inc()
            raise
        seen = await awaited(gateway, watch, slot, "tool-decisions", lambda w: w.decision(call_id, digest), within_s)
        if seen is None or seen.value["function"] != value["tool"]:
            gateway.metrics.undecided.inc()
            raise Problem(
                "decision_timeout",
                f"no decision on the call within {within_s:g} s; it must not run",
                more={"call_id": call_id, "audit_id": value["audit_id"]},
                headers={"retry-after": "1"},
            )
        decision = seen.value
        headers = {"server-timing": timing(gateway, ack, seen.appended, seen.received)}
        if decision["decision"] != "allowed":
            await _revision(watch, decision.get("revision"))
        whole = decision | {"modulation": watch.modulation}
    return _response(whole, caller, headers)


async def _revision(watch: Watch, revision: int | None) -> None:
    """Wait a little for the revision that a decision leads to."""
    if revision:
        try:
            async with asyncio.timeout(_REVISION_S):
                await watch.until(lambda w: w.modulations.get(revision))
        except TimeoutError:
            return


def _response(decision: Json, caller: Caller, headers: dict[str, str]) -> Response:
    outcome, reason = decision["decision"], decision["reason"]
    if not caller.enforce and outcome != "allowed":
        return json_response(decision | {"enforce": False}, 200, headers | {"endocrine-would": f"{outcome},{reason}"})
    if outcome == "denied":
        problem = Problem("tool_denied", f"{reason}: the call must not run", more=decision)
        return json_response(problem.as_json(), 403, headers | {"content-type": "application/problem+json"})
    return json_response(decision, 200 if outcome == "allowed" else 202, headers)


ROUTES = [
    Row(
        "POST",
        "/v1/tool-calls",
        "capture",
        decide,
        "Ask whether a tool call may run: 200 allowed, 403 denied, 202 pending. Without an answer it may not.",
        body="tool-calls-request",
        batch=True,
        answers={200: "Decision", 202: "Decision"},
        problems=("tool_denied", "conflict", "decision_timeout", "not_recorded", "overloaded"),
    )
]
