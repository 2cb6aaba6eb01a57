"""What operators ask for: approvals, caps, notes, releases; `?wait=N` gives the outcome where there is one to see."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.answers import refusal
from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import by_caller, checked, filled, produced
from endocrine.pipeline.gateway.row import WAIT, Row, checked_query, json_response, wait_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Watch

Json = dict[str, Any]
KINDS = {
    "approve": "approve",
    "deny": "deny",
    "approve-turn": "approve_turn",
    "deny-turn": "deny_turn",
    "cap": "set_cap",
    "note": "add_note",
    "release": "release_lock",
    "clear-risk": "clear_risk",
}
"""Name in the path, with `-` or `_`, to the record's kind."""


async def command(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/commands/{kind}."""
    kind = KINDS.get(request.path_params["kind"].replace("_", "-"))
    if kind is None:
        raise Problem("not_found", f"no such command; expected one of {', '.join(KINDS)}")
    wait_s = wait_of(checked_query(request, "wait"))
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    if body.get("kind") not in (None, kind):
        raise Problem("invalid", "kind: another than that of the path", field="kind")
    value = filled("commands", body, request, caller, slot) | {"kind": kind}
    value = checked(gateway, "commands", by_caller(caller, value))
    outcome = await outcome_of(gateway, request, value, wait_s)
    answer = json_response({"id": value["id"], "outcome": outcome}, 202 if outcome is None else 200)
    gateway.idempotency.finish(slot, answer)
    return answer


async def outcome_of(gateway: Gateway, request: Request, value: Json, wait_s: int) -> Json | None:
    """Produce a command, and return its outcome within that time; None: there is none yet.

    Raises Problem where the broker does not take it, or it goes to the dead letters; Overloaded.
    """
    with gateway.awaiting.turn(value["identity"], value.get("audit_id"), record_ids=[value["id"]]) as watch:
        await produced(gateway, request, "commands", value)
        return await _outcome(watch, value, wait_s)


async def _outcome(watch: Watch, value: Json, wait_s: int) -> Json | None:
    """Its outcome within that time: a decision, a modulation; None where nothing is to be seen yet."""
    if not wait_s:
        return None
    found = _seen_of(value)
    try:
        async with asyncio.timeout(wait_s):
            await watch.until(lambda w: True if w.refused or found(w) is not None else None)
    except TimeoutError:
        return None
    for refused in watch.refused.values():
        raise refusal(refused)
    return found(watch)


def _seen_of(value: Json) -> Callable[[Watch], Json | None]:
    if value["kind"] in ("approve", "deny"):
        wanted = value["call_id"]

        def decided(watch: Watch) -> Json | None:
            for (call_id, _), seen in watch.decisions.items():
                if call_id == wanted and seen.value["decision"] != "pending":
                    return seen.value
            return None

        return decided
    if value["kind"] in ("approve_turn", "deny_turn", "clear_risk"):
        return lambda watch: watch.modulation
    if value["kind"] in ("set_cap", "add_note"):
        return lambda watch: next((seen.value for seen in watch.outcomes.get(value["id"], ())), None)
    return lambda watch: None


ROUTES = [
    Row(
        "POST",
        "/v1/commands/{kind}",
        "operate",
        command,
        f"A command: {', '.join(KINDS)}. 202, or 200 with the outcome within `wait` seconds.",
        body="CommandRequest",
        answers={200: "Outcome", 202: "Outcome"},
        problems=("not_found", "conflict", "not_recorded", "overloaded"),
        query=(WAIT,),
    )
]
