"""Commands about a subject: made from a request, sent, and their outcomes within `?wait`."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import subject_of
from endocrine.pipeline.gateway.answers import refusal
from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import SUBJECT_SCHEMA, Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import by_caller, checked, identified, produced
from endocrine.pipeline.gateway.routes.reads import in_reach
from endocrine.pipeline.gateway.row import Query, checked_query, json_response, wait_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Watch

Json = dict[str, Any]
SUBJECT = Query(
    "subject",
    "An identity, or `project:` and a project's id.",
    SUBJECT_SCHEMA,
    required=True,
)
WRITING = ("not_found", "conflict", "not_recorded", "overloaded", "identity_not_allowed")
"""Problems that a write of this kind may answer."""
_MISSING = {
    "unknown_memory": "no such memory of this subject",
    "unknown_conflict": "no such conflict of this subject",
    "unknown_link": "no such link of this subject",
    "absent": "nothing is active there",
}
"""Refusals that say there is no such thing."""


def subject_named(gateway: Gateway, caller: Caller, named: Any) -> str:
    """Return the subject that a request names, as it is keyed. Raises Problem, 422 or 403."""
    if not isinstance(named, str):
        raise Problem("invalid", "subject: expected an identity, or `project:` and a project's id", field="subject")
    try:
        subject = gateway.names.subject(subject_of(named))
    except ValueError as error:
        raise Problem("invalid", f"subject: {error}", field="subject") from None
    in_reach(caller, subject)
    return subject


async def command(
    gateway: Gateway,
    request: Request,
    caller: Caller,
    fixed: Mapping[str, Any],
    events: str,
    *fields: str,
    topic: str = "commands",
) -> Response:
    """Send the command that a body describes: `subject`, these fields, `by`, `ts`, `id`. fixed: what it is besides.

    events: the topic of its event. topic: where it is sent, if that is not `commands`. Raises Problem.
    """
    wait_s = wait_of(checked_query(request, "wait"))
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    known = ("subject", *fields, "by", "ts", "id")
    if unknown := body.keys() - set(known):
        raise Problem("invalid", f"{len(unknown)} fields are not known; expected {', '.join(known)}")
    subject = subject_named(gateway, caller, body.get("subject"))
    slot = await gateway.idempotency.begin(caller, request, body)
    if slot.answer is not None:
        return slot.answer
    given = {name: part for name, part in body.items() if name != "subject"}
    try:
        value = checked(gateway, topic, completed(caller, slot, subject, {**given, **fixed}, topic=topic))
    except Problem as problem:
        if problem.field not in request.path_params:
            raise
        raise Problem("not_found", f"{problem.field}: no id has this form", field=problem.field) from None
    return await sent(gateway, request, caller, slot, value, wait_s, events, topic=topic)


def completed(
    caller: Caller, slot: Slot, subject: str, given: Json, index: int = 0, *, topic: str = "commands"
) -> Json:
    """Return the record of this topic, with time, id and who acts. What is null is left out."""
    value = {name: part for name, part in given.items() if part is not None}
    value[CATALOGUE[topic].identity_field] = subject
    value.setdefault("ts", slot.ts)
    return by_caller(caller, identified(value, slot, index))


async def sent(
    gateway: Gateway,
    request: Request,
    caller: Caller,
    slot: Slot,
    value: Json,
    wait_s: int,
    events: str,
    *,
    topic: str = "commands",
) -> Response:
    """Return 202 with the command's id; 200 with the event if it comes in time. Raises Problem, 404 or 409, if refused.

    events: the topic of the event.
    """
    shown = await event_shown(gateway, request, caller, value, wait_s, events, topic=topic)
    answer = json_response({"id": value["id"], "outcome": shown}, 202 if shown is None else 200)
    gateway.idempotency.finish(slot, answer)
    return answer


async def event_shown(
    gateway: Gateway,
    request: Request,
    caller: Caller,
    value: Json,
    wait_s: int,
    events: str,
    *,
    topic: str = "commands",
) -> Json | None:
    """Produce a command, and return its event within that time as the caller may see it; None: there is none yet.

    Raises Problem, 404 or 409, if it is refused.
    """
    with gateway.awaiting.turn(value[CATALOGUE[topic].identity_field], None, record_ids=[value["id"]]) as watch:
        await produced(gateway, request, topic, value)
        event = await event_of(watch, value["id"], wait_s)
    shown = None if event is None else shown_to(caller, events, event)
    if event is not None and event["kind"] in ("refused", "absent"):
        # The reason of what is absent is the one that the command gave for ending it: a person's words.
        reason = _reason(events, event)
        kind, detail = ("not_found", _MISSING[reason]) if reason in _MISSING else ("conflict", f"refused: {reason}")
        raise Problem(kind, detail, more={"reason": reason, "outcome": shown})
    return shown


async def event_of(watch: Watch, command: str, wait_s: int) -> Json | None:
    """Return the event of a command, None where it does not come in time. Raises Problem for a dead letter."""
    if not wait_s:
        return None
    try:
        async with asyncio.timeout(wait_s):
            await watch.until(lambda w: True if w.refused or command in w.outcomes else None)
    except TimeoutError:
        return None
    for refused in watch.refused.values():
        raise refusal(refused)
    return watch.outcomes[command][0].value


def _reason(events: str, event: Json) -> str:
    """Why a command was refused, by the event that says so."""
    if event["kind"] == "absent":
        return "absent"
    return str(event["refusal"] if events == "link-events" else event["reason"])
