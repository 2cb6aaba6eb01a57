"""Opening turns, with or without our answer, and closing them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any

import structlog
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.answers import awaited, late_advice, refusal
from endocrine.pipeline.gateway.awaiting import NotRecorded
from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import DOOR, MAX_ID_CHARS, checked, filled, produced, timing
from endocrine.pipeline.gateway.row import Row, json_response
from endocrine.pipeline.gateway.sse import event, stream
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import ReceivedRecord, Watch
from endocrine.pipeline.process.logs import Seldom
from endocrine.schemas.interactions import Opened

_log = structlog.get_logger("endocrine.gateway")
_LATE = Seldom(_log, "advice late")
_UNRECORDED = Seldom(_log, "late advice is not on record")
Json = dict[str, Any]
_FAILED = {
    "rate_limited": "rate_limited",
    "budget_exceeded": "budget_exceeded",
    "too_many_turns": "rate_limited",
    "denied": "refused",
    "hold_expired": "refused",
    "no_modulation": "decision_timeout",
    "no_verdict": "decision_timeout",
    "no_revision": "decision_timeout",
    "model_error": "model_error",
    "model_refused": "model_error",
    "model_timeout": "model_timeout",
}
"""How a turn that we answer may have ended without an answer, and the problem that says so."""


async def open_turn(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/turns."""
    limits = gateway.limits
    body = (await read_body(request, limits.body_bytes, limits.read_s)).one
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    value = checked(gateway, "interactions", opening(body, request, caller, slot))
    with ExitStack() as ending:
        watch = ending.enter_context(
            gateway.awaiting.turn(value["identity"], value["audit_id"], record_ids=[value["id"]])
        )
        watch.asked = value
        ack = await produced(gateway, request, "interactions", value)
        first = await awaited(gateway, watch, slot, "modulations", lambda w: w.modulations.get(0), limits.advice_s)
        headers = {} if first is None else {"server-timing": timing(gateway, ack, first.appended, first.received)}
        if value.get("respond"):
            if "text/event-stream" in request.headers.get("accept", ""):
                # The registration lives as long as the stream.
                return stream(_streamed(gateway, watch, ending.pop_all()), headers)
            answer = await _answered(gateway, caller, watch, slot, headers)
        elif first is None:
            answer = _late(gateway, value)
        else:
            # A turn that was held is answered as it is now, where this is asked again.
            now = watch.modulations[max(watch.modulations)] if first.value["refusal"] == "held" else first
            answer = opened_answer(now.value, caller, headers)
    gateway.idempotency.finish_decided(slot, answer)
    return answer


def opening(body: Json, request: Request, caller: Caller, slot: Slot) -> Json:
    """Return the record that opens a turn: what the caller gave, and what it may leave out. Raises Problem."""
    value = {"kind": "opened"} | filled("interactions", body, request, caller, slot)
    if value["kind"] != "opened":
        raise Problem("invalid", "kind: expected opened, or nothing", field="kind")
    value.setdefault("audit_id", f"turn-{slot.seed}")
    value.setdefault("session_id", value["audit_id"])
    value.setdefault("turn", 0)
    value.setdefault("client", caller.name)
    if "door" in Opened.model_fields:
        value["door"] = DOOR
    if not caller.enforce and "enforce" in Opened.model_fields:
        value["enforce"] = False
    return value


def opened_answer(modulation: Json, caller: Caller, headers: dict[str, str]) -> Response:
    """Return the answer to an opening: 201, 202 held, or the problem that refuses it; 201 to who observes."""
    refused = modulation["refusal"]
    if refused is not None and not caller.enforce:
        would = {"endocrine-would": f"refused,{refused}"}
        return json_response(modulation | {"enforce": False}, 201, headers | would)
    if refused in (None, "held"):
        return json_response(modulation, 201 if refused is None else 202, headers)
    kind = refused if refused in ("rate_limited", "budget_exceeded") else "refused"
    raise Problem(kind, f"the turn is refused: {refused}", more={"turn": modulation}, headers=headers)


def _late(gateway: Gateway, value: Json) -> Response:
    """Advice fails open, to the strict defaults; a record says so, for the audit, once the answer is on its way."""
    gateway.metrics.late.inc()
    audit_id, within_s = value["audit_id"], gateway.limits.advice_s
    _LATE.warning(audit_id=audit_id, within_s=within_s)
    advice = late_advice(gateway, audit_id, value["identity"])
    record = {name: advice[name] for name in ("audit_id", "identity", "mode", "policy")}
    record |= {"id": f"late-{value['id']}"[:MAX_ID_CHARS], "within_ms": round(1000 * within_s), "ts": value["ts"]}
    answer = json_response(advice, 201, {"endocrine-advice": "late"})
    answer.background = BackgroundTask(_recorded, gateway, record)
    return answer


async def _recorded(gateway: Gateway, record: Json) -> None:
    try:
        await gateway.awaiting.produce("late-advice", record, sealed=True)
    except NotRecorded as error:
        _UNRECORDED.warning(audit_id=record["audit_id"], error=str(error))


async def _answered(gateway: Gateway, caller: Caller, watch: Watch, slot: Slot, headers: dict[str, str]) -> Response:
    """The whole governed answer of a turn that we answer."""
    seen = await awaited(gateway, watch, slot, "interactions", settled, gateway.limits.answer_s)
    if seen is None:
        raise Problem("answer_timeout", f"no answer within {gateway.limits.answer_s:g} s", more=_so_far(watch))
    if seen.value.get("kind") != "closed":
        return opened_answer(seen.value, caller, headers)
    finish = seen.value.get("finish") or "answered"
    whole = _so_far(watch) | {"finish": finish, "response": seen.value["response"], "usage": seen.value.get("usage")}
    if finish in _FAILED:
        raise Problem(_FAILED[finish], f"the turn ended without an answer: {finish}", more=whole)
    return json_response(whole, 200, headers)


def settled(watch: Watch) -> ReceivedRecord | None:
    """Return what ends the waiting for an answer: its closing, or that the turn waits for a person."""
    if watch.closed is not None:
        return watch.closed
    latest = watch.modulation
    return watch.modulations[watch.revision or 0] if latest is not None and latest["refusal"] == "held" else None


def _so_far(watch: Watch) -> Json:
    return {
        "audit_id": watch.audit_id,
        "identity": watch.identity,
        "modulation": watch.modulation,
        "decisions": [seen.value for seen in watch.decisions.values()],
    }


async def _streamed(gateway: Gateway, watch: Watch, ending: ExitStack) -> AsyncGenerator[bytes, None]:
    """Events `modulation, decision, revised, delta, closed`; `error` with a problem where it ends otherwise.

    The answer is judged whole, so it comes as one delta.
    """
    with ending:
        sent: set[tuple[str, str]] = set()
        deadline = time.monotonic() + gateway.limits.answer_s
        while True:
            for name, key, value in _news(watch):
                if (name, key) not in sent:
                    sent.add((name, key))
                    yield event(name, value)
            for refused in watch.refused.values():
                yield event("error", refusal(refused).as_json())
                return
            if watch.closed is not None:
                value = watch.closed.value
                yield event("delta", {"text": value["response"]})
                yield event("closed", {"audit_id": watch.audit_id, "finish": value.get("finish"),
                                       "usage": value.get("usage")})  # fmt: skip
                return
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await watch.change()
            except TimeoutError:
                detail = f"no answer within {gateway.limits.answer_s:g} s"
                yield event("error", Problem("answer_timeout", detail).as_json())
                return


def _news(watch: Watch) -> list[tuple[str, str, Json]]:
    """(event, what it is about, content), in the order of the records' append times."""
    found = [
        (seen.appended, "revised" if revision else "modulation", str(revision), seen.value)
        for revision, seen in watch.modulations.items()
    ]
    found += [
        (seen.appended, "decision", f"{call_id} {digest} {seen.value['decision']}", seen.value)
        for (call_id, digest), seen in watch.decisions.items()
    ]
    return [(name, key, value) for _, name, key, value in sorted(found, key=lambda one: one[:3])]


async def close_turn(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/turns/{audit_id}/close."""
    limits = gateway.limits
    body = (await read_body(request, limits.body_bytes, limits.read_s)).one
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    audit_id = request.path_params["audit_id"]
    if body.get("audit_id") not in (None, audit_id):
        raise Problem("invalid", "audit_id: another than that of the path", field="audit_id")
    value = {"kind": "closed"} | filled("interactions", body, request, caller, slot) | {"audit_id": audit_id}
    if value["kind"] != "closed":
        raise Problem("invalid", "kind: expected closed, or nothing", field="kind")
    if value.get("finish") is not None:
        raise Problem("invalid", "finish: expected none; it is for turns that we answer", field="finish")
    ack = await produced(gateway, request, "interactions", checked(gateway, "interactions", value))
    headers = {"server-timing": f"ack;dur={1000 * ack.ack_s:.2f}"}
    answer = json_response({"id": value["id"], "audit_id": audit_id}, 202, headers)
    gateway.idempotency.finish(slot, answer)
    return answer


ROUTES = [
    Row(
        "POST",
        "/v1/turns",
        "capture",
        open_turn,
        "Open a turn: how to call the model. With `respond: true` the whole governed answer, or a stream of events.",
        body="TurnRequest",
        answers={200: "Answer", 201: "Turn", 202: "Turn"},
        problems=(
            "rate_limited",
            "budget_exceeded",
            "refused",
            "conflict",
            "not_recorded",
            "overloaded",
            "decision_timeout",
            "answer_timeout",
            "model_error",
            "model_timeout",
        ),
    ),
    Row(
        "POST",
        "/v1/turns/{audit_id}/close",
        "capture",
        close_turn,
        "Close a turn with the answer that the user got.",
        body="CloseRequest",
        answers={202: "Recorded"},
        problems=("not_recorded",),
    ),
]
