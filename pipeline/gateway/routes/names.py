"""The registry of names: reading it, and commands to it; `?wait=N` gives what became of one."""

import asyncio
from itertools import islice
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import by_caller, checked, produced
from endocrine.pipeline.gateway.routes.reads import DEFAULT, MOST
from endocrine.pipeline.gateway.row import (
    WAIT,
    Query,
    Row,
    checked_query,
    json_response,
    number_of,
    one_of,
    wait_of,
    whole_number,
)
from endocrine.pipeline.gateway.state import Gateway
from endocrine.schemas.names import REGISTRY
from endocrine.schemas.vocabulary import NameScope

Json = dict[str, Any]
_KINDS = ("register_name", "release_name")


async def listed(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/names."""
    query = checked_query(request, "scope", "limit", "cursor")
    scope, limit = one_of(query, "scope", get_args(NameScope)), number_of(query, "limit", DEFAULT, 1, MOST)
    found = [
        (f"{key[0]}/{key[1]}", dict(entry))
        for key, entry in sorted(gateway.names.entries.items())
        if scope in (None, key[0]) and _in_reach(caller, entry)
    ]
    after = query.get("cursor")
    page = list(islice((one for one in found if after is None or one[0] > after), limit + 1))
    shown = [shown_to(caller, "registry", entry) for _, entry in page[:limit]]
    return json_response({"items": shown, "next": page[limit - 1][0] if len(page) > limit else None})


def _in_reach(caller: Caller, entry: Any) -> bool:
    """A key of one identity sees the names of that identity."""
    if caller.identity_from != "fixed":
        return True
    return entry["scope"] == "identity" and caller.owns(entry["registered_id"])


async def command(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/names."""
    wait_s = wait_of(checked_query(request, "wait"))
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    if caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} has an identity of its own")
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    given = {name: part for name, part in body.items() if part is not None}
    value = {"kind": "register_name", "ts": slot.ts, **given, "identity": REGISTRY, "id": slot.id_of()}
    if value["kind"] not in _KINDS:
        raise Problem("invalid", f"kind: expected one of {', '.join(_KINDS)}", field="kind")
    for name in ("name", "registered_id"):
        if isinstance(value.get(name), str):
            value[name] = value[name].strip()
    if value["kind"] == "register_name" and value.get("registered_id") is None:
        value["registered_id"] = value.get("name")
    value.setdefault("effective_from", value["ts"])
    value = checked(gateway, "commands", by_caller(caller, value))
    answer = await _answer(gateway, request, value, wait_s)
    gateway.idempotency.finish(slot, answer)
    return answer


async def _answer(gateway: Gateway, request: Request, value: Json, wait_s: int) -> Response:
    about: Json = {name: value[name] for name in ("scope", "name", "registered_id") if name in value}
    if gateway.names.holds(value):
        return json_response({"id": value["id"], "outcome": {"kind": "unchanged", **about}})
    named = {value["name"], value["registered_id"]} if value["kind"] == "register_name" else set()
    if any(gateway.names.is_erased(value["scope"], name) for name in named):
        erased: Json = {"kind": "refused", **about, "reason": "erased"}
        raise Problem("conflict", "name: erased, and not given anew", field="name", more={"outcome": erased})
    alias = value["kind"] == "register_name" and value["name"] != value["registered_id"]
    if alias and not gateway.names.is_registered(value["scope"], value["registered_id"]):
        outcome: Json = {"kind": "refused", **about, "reason": "unknown"}
        raise Problem("conflict", "registered_id: not a registered id; register it first", more={"outcome": outcome})
    with gateway.registry.outcome(value["id"]) as outcome_of:
        await produced(gateway, request, "commands", value)
        if not wait_s:
            return json_response({"id": value["id"], "outcome": None}, 202)
        try:
            event = await asyncio.wait_for(outcome_of, wait_s)
        except TimeoutError:
            return json_response({"id": value["id"], "outcome": None}, 202)
    if event["kind"] == "refused":
        raise Problem("conflict", f"name: refused, {event['reason']}", field="name", more={"outcome": event})
    return json_response({"id": value["id"], "outcome": event})


ROUTES = [
    Row(
        "GET",
        "/v1/names",
        "read",
        listed,
        "Registered ids and their aliases.",
        answers={200: "Names"},
        query=(
            Query("scope", "Of this scope.", {"type": "string", "enum": list(get_args(NameScope))}),
            Query("limit", f"How many; {DEFAULT} where left out.", whole_number(1, MOST)),
            Query("cursor", "`next` of the page before."),
        ),
    ),
    Row(
        "POST",
        "/v1/names",
        "operate",
        command,
        "Register an id or an alias, or release an alias. 202; with `wait` 200 and the outcome, 409 where refused.",
        body="NameRequest",
        answers={200: "Outcome", 202: "Outcome"},
        problems=("conflict", "identity_not_allowed", "not_recorded"),
        query=(WAIT,),
    ),
]
