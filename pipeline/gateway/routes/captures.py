"""Capturing tool results, feedback, signals, observations, detections: one record or a batch, each line answered."""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.bodies import Body, an_object, read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked, filled, produced
from endocrine.pipeline.gateway.row import Handler, Row, json_response
from endocrine.pipeline.gateway.state import Gateway

Json = dict[str, Any]


def capture(topic: str) -> Handler:
    """Return the handler of the records of one topic."""

    async def handler(gateway: Gateway, request: Request, caller: Caller) -> Response:
        limits = gateway.limits
        body = await read_body(request, limits.body_bytes, limits.read_s, limits.batch_records)
        slot = await gateway.idempotency.begin(caller, request, body.items)
        if slot.answer is not None:
            return slot.answer
        if not body.batch:
            record = await _one(gateway, request, caller, slot, topic, body.items[0], 0)
            answer = json_response(record, 202)
        else:
            ones = [
                _answered(gateway, request, caller, slot, topic, item, number) for number, item in enumerate(body.items)
            ]
            answer = batch_response(body, await asyncio.gather(*ones))
        gateway.idempotency.finish(slot, answer)
        return answer

    return handler


def batch_response(body: Body, answers: list[Json]) -> Response:
    """Return an answer for each record, in their order; JSON lines where they came so. 200, or 503 where none was
    taken.
    """
    status = 503 if all(answer["status"] == 503 for answer in answers) else 200
    if body.lines:
        return Response(b"".join(orjson.dumps(one) + b"\n" for one in answers), status, None, "application/x-ndjson")
    return json_response({"results": answers}, status)


async def _answered(
    gateway: Gateway, request: Request, caller: Caller, slot: Slot, topic: str, item: Any, index: int
) -> Json:
    try:
        record = await _one(gateway, request, caller, slot, topic, item, index)
    except Problem as problem:
        return {"index": index, "status": problem.status, "error": problem.as_json()}
    return {"index": index, "status": 202, **record}


async def _one(
    gateway: Gateway, request: Request, caller: Caller, slot: Slot, topic: str, item: Any, index: int
) -> Json:
    value = checked(gateway, topic, completed(topic, filled(topic, an_object(item), request, caller, slot, index)))
    ack = await produced(gateway, request, topic, value)
    return {"id": value["id"], "place": f"{topic}/{ack.partition}/{ack.offset}"}


def completed(topic: str, value: Json) -> Json:
    """Return what a door may leave out, as inline signals leave it out."""
    if topic == "signals":
        value.setdefault("ttl_ms", 800)
        value.setdefault("source", "runtime")
    elif topic == "tool-results":
        value.setdefault("args_summary", "")
        value.setdefault("duration_ms", 0.0)
    elif topic == "observations":
        value.setdefault("v", 1)
    return value


_SUMMARIES = {
    "tool-results": "Outcomes of tool calls.",
    "feedback": "Feedback cards; `user_id` is taken for `identity`.",
    "signals": "Endocrine signals.",
    "observations": "BEHAVE observations; `identity` is taken for `identity_ref`.",
    "detections": "Entrainment detections.",
}
ROUTES = [
    Row(
        "POST",
        f"/v1/{topic}",
        "capture",
        capture(topic),
        summary,
        body=f"{topic}-request",
        batch=True,
        answers={200: "Batch", 202: "Recorded"},
        problems=("not_recorded",),
    )
    for topic, summary in _SUMMARIES.items()
]
