"""Turns as a list of summaries, one of them with its text, and what memory makes of an answer."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.data.memory_answers import Answer, extracted, extractions, reinforcements
from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller, checked_project
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked, produced
from endocrine.pipeline.gateway.routes.reads import (
    DEFAULT,
    MOST,
    OF_IDENTITY,
    PAGE,
    TIME,
    cursor_of,
    identity_of,
    keys_of,
    redis_of,
    shown_cursor,
    time_of,
    turn_named,
    with_bodies,
)
from endocrine.pipeline.gateway.row import Query, Row, checked_query, json_response
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.subject_commands import completed
from endocrine.pipeline.views.turns import listed_turns, summary_of

Json = dict[str, Any]
_FILTERS = ("identity", "project", "session_id", "client", "since", "limit", "cursor")


class ExtractRequest(BaseModel):
    """Whether what is found is kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    persist: Annotated[bool, Field(description="true: candidates are made of it. As shipped a preview.")] = False


class ReinforceRequest(BaseModel):
    """Nothing is asked for besides the turn."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Extracted(BaseModel):
    """What the rules find in an answer. What is known, queued or was rejected is dropped when it is persisted."""

    persisted: bool
    items: list[dict[str, Any]]


class Sent(BaseModel):
    """Subjects that a command was sent for."""

    sent: list[str]


async def listed(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/interactions."""
    query = checked_query(request, *_FILTERS)
    limit, capped = _limit(query)
    since, before = time_of(query, "since"), cursor_of(query)
    identity = identity_of(gateway, caller, query)
    project = checked_project(gateway.names, query.get("project"))
    answer: Json = {"items": [], "next": None} | ({"limit": MOST, "capped": True} if capped else {})
    redis = redis_of(gateway)
    if limit == 0:
        return json_response(answer)
    place = keys_of(gateway).turns(identity, None if identity is not None else project)
    wanted = {"project": project, "session_id": query.get("session_id"), "client": query.get("client")}
    keys, names = keys_of(gateway), gateway.names
    answer["items"], after = await listed_turns(redis, keys, names, place, wanted, since, limit, before)
    if after is not None:
        answer["next"] = shown_cursor(after)
    return json_response(answer)


def _limit(query: dict[str, str]) -> tuple[int, bool]:
    """How many, and whether that is fewer than were asked for. Raises Problem, 422."""
    text = query.get("limit")
    if text is None:
        return DEFAULT, False
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 18):
        raise Problem("invalid", "query limit: expected a whole number", field="limit")
    return max(0, min(int(text), MOST)), int(text) > MOST


async def read(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/interactions/{audit_id}."""
    checked_query(request)
    found = await turn_named(gateway, request, caller)
    answer = summary_of(request.path_params["audit_id"], found)
    if "content" in caller.scopes:
        await with_bodies(gateway, caller, [found])
        for part, name in (("opened", "prompt"), ("closed", "response")):
            if part in found and name not in found[part]:
                raise Problem("gone", f"the {name} is not on its topic any more", more={"interaction": answer})
        answer |= {name: found.get("opened", {}).get(name) for name in ("prompt", "context_pack")}
        answer["response"] = found.get("closed", {}).get("response")
    return json_response(answer)


async def extract(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/interactions/{audit_id}/extract."""
    slot, asked = await _asked(gateway, request, caller, ExtractRequest)
    if slot.answer is not None:
        return slot.answer
    answer = await _answer(gateway, request, caller)
    found = extracted(answer, gateway.policy)
    persist = asked.persist and bool(found)
    if persist:
        await _send(gateway, request, caller, slot, extractions(answer, found))
    shown = found if "content" in caller.scopes else [one | {"content": None} for one in found]
    response = json_response({"persisted": persist, "items": shown}, 202 if persist else 200)
    gateway.idempotency.finish(slot, response)
    return response


async def reinforce(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/interactions/{audit_id}/reinforce."""
    slot, _ = await _asked(gateway, request, caller, ReinforceRequest)
    if slot.answer is not None:
        return slot.answer
    answer = await _answer(gateway, request, caller)
    await _send(gateway, request, caller, slot, reinforcements(answer))
    response = json_response({"sent": answer.subjects}, 202)
    gateway.idempotency.finish(slot, response)
    return response


async def _asked(gateway: Gateway, request: Request, caller: Caller, model: type[BaseModel]) -> tuple[Slot, Any]:
    body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
    slot = await gateway.idempotency.begin(caller, request, body)
    try:
        return slot, model.model_validate(body)
    except ValidationError:
        expected = "persist, true or false" if model is ExtractRequest else "none"
        raise Problem("invalid", f"a field that is not known, or of another kind; expected {expected}") from None


async def _answer(gateway: Gateway, request: Request, caller: Caller) -> Answer:
    """The answer, from its topic; whoever may review may have it read. Raises Problem: 404, 409, 410."""
    found = await turn_named(gateway, request, caller)
    if "closed" not in found:
        raise Problem("conflict", "the turn has not ended", more={"reason": "open"})
    whole = Caller(caller.name)
    await with_bodies(gateway, whole, [found])
    if "response" not in found["closed"]:
        raise Problem("gone", "the response is not on its topic any more")
    text = found["closed"]["response"]
    if not text:
        raise Problem("conflict", "the answer is empty", more={"reason": "empty"})
    return Answer(
        request.path_params["audit_id"], found["closed"]["identity"], found.get("opened", {}).get("project"), text
    )


async def _send(gateway: Gateway, request: Request, caller: Caller, slot: Slot, values: list[Json]) -> None:
    for index, value in enumerate(values):
        given = {name: part for name, part in value.items() if name != "identity"}
        whole = completed(caller, slot, value["identity"], given, index)
        await produced(gateway, request, "commands", checked(gateway, "commands", whole))


_READING = ("views_away", "identity_not_allowed", "not_found", "gone")
ROUTES = [
    Row(
        "GET",
        "/v1/interactions",
        "read",
        listed,
        "Turns, newest first, without their text: lengths, counts, mode, finish. `capped`: fewer than asked for.",
        problems=("views_away", "identity_not_allowed"),
        query=(
            OF_IDENTITY,
            Query("project", "Of this project."),
            Query("session_id", "Of this session."),
            Query("client", "Opened by this program."),
            Query("since", "Opened at this time or later: ISO 8601 (no zone: UTC) or seconds since 1970.", TIME),
            Query(
                "limit",
                f"How many; {DEFAULT} where left out, at most {MOST}, none for 0 or less.",
                {"type": "integer", "minimum": -(10**17) + 1, "maximum": 10**17 - 1},
            ),
            PAGE[1],
        ),
    ),
    Row(
        "POST",
        "/v1/interactions/{audit_id}/extract",
        "review",
        extract,
        "What the extraction rules find in its answer: a preview, or with `persist` candidates of it (202).",
        body="ExtractRequest",
        answers={200: "Extracted", 202: "Extracted"},
        problems=(*_READING, "conflict", "not_recorded"),
    ),
    Row(
        "POST",
        "/v1/interactions/{audit_id}/reinforce",
        "review",
        reinforce,
        "Hold its answer against the memories of its subjects; each turn counts once.",
        body="ReinforceRequest",
        answers={202: "Sent"},
        problems=(*_READING, "conflict", "not_recorded"),
    ),
    Row(
        "GET",
        "/v1/interactions/{audit_id}",
        "read",
        read,
        "A turn; prompt and response need the scope `content`, and are 410 past their retention.",
        problems=_READING,
    ),
]
