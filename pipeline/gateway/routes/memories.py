"""Memories of a subject: read from the read models; written, reviewed and ended by commands alone."""

from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import DEFAULT, MOST, redis_of
from endocrine.pipeline.gateway.row import (
    WAIT,
    Query,
    Row,
    checked_query,
    json_response,
    number_of,
    one_of,
    whole_number,
)
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.subject_commands import SUBJECT, WRITING, command, subject_named
from endocrine.pipeline.views.redis import views
from endocrine.schemas.vocabulary import MemoryStatus, MemoryType

Json = dict[str, Any]
CHANGES: dict[str, tuple[str, ...]] = {
    "promote": ("reason",),
    "reject": ("reason",),
    "supersede": ("superseded_by", "reason"),
    "invalidate": ("reason",),
    "update": ("content", "confidence", "version", "reason"),
}
"""Commands about one memory, with what their bodies may say."""
_CREATED = ("type", "content", "slot", "status", "confidence")
_EVENTS = "memory-events"


async def listed(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/memories."""
    query = checked_query(request, "subject", "status", "type", "limit", "cursor")
    status, kind = one_of(query, "status", get_args(MemoryStatus)), one_of(query, "type", get_args(MemoryType))
    limit = number_of(query, "limit", DEFAULT, 1, MOST)
    subject = subject_named(gateway, caller, query.get("subject"))
    found = await views.memories(redis_of(gateway), subject, status=status, type=kind)
    if (after := query.get("cursor")) is not None:
        found = [one for one in found if _place(one) > after]
    page = found[:limit]
    shown = [shown_to(caller, "memories", one) for one in page]
    return json_response({"subject": subject, "items": shown, "next": _place(page[-1]) if len(found) > limit else None})


def _place(one: Json) -> str:
    """A text that sorts as memories do: by time, then id. Times are before the year 10000, microseconds suffice."""
    return f"{round(one['created_ts'] * 1e6):018d}/{one['memory_id']}"


async def read(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/memories/{memory_id}."""
    subject = subject_named(gateway, caller, checked_query(request, "subject").get("subject"))
    found = await views.memory(redis_of(gateway), subject, request.path_params["memory_id"])
    if found is None:
        raise Problem("not_found", "no such memory of this subject")
    return json_response(shown_to(caller, "memories", found))


async def create(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/memories."""
    return await command(gateway, request, caller, {"kind": "memory_create"}, _EVENTS, *_CREATED)


async def opinion(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/memories/{memory_id}/opinion."""
    fixed = {"memory_id": request.path_params["memory_id"]}
    return await command(gateway, request, caller, fixed, _EVENTS, "opinion", "confidence", topic="opinions")


def _change(name: str) -> Any:
    async def change(gateway: Gateway, request: Request, caller: Caller) -> Response:
        fixed = {"kind": f"memory_{name}", "memory_id": request.path_params["memory_id"]}
        return await command(gateway, request, caller, fixed, _EVENTS, *CHANGES[name])

    return change


_SUMMARIES = {
    "promote": "Make a candidate active; 409 while a conflict with another active value is open.",
    "reject": "Make a candidate invalid: it is not proposed again.",
    "supersede": "Take an active memory out of force, as another says it better.",
    "invalidate": "Make an active memory invalid.",
    "update": "Change the content or the confidence of a candidate or an active memory.",
}
_WRITTEN: dict[int, str] = {200: "Outcome", 202: "Outcome"}
ROUTES = [
    Row(
        "GET",
        "/v1/memories",
        "read",
        listed,
        "Memories of a subject, the oldest first; `status=candidate`: what waits for a review.",
        problems=("views_away", "identity_not_allowed"),
        query=(
            SUBJECT,
            Query("status", "Of this status.", {"type": "string", "enum": list(get_args(MemoryStatus))}),
            Query("type", "Of this type.", {"type": "string", "enum": list(get_args(MemoryType))}),
            Query("limit", f"How many; {DEFAULT} where left out.", whole_number(1, MOST)),
            Query("cursor", "`next` of the page before."),
        ),
    ),
    Row(
        "GET",
        "/v1/memories/{memory_id}",
        "read",
        read,
        "One memory.",
        problems=("views_away", "identity_not_allowed", "not_found"),
        query=(SUBJECT,),
    ),
    Row(
        "POST",
        "/v1/memories",
        "review",
        create,
        "Write a memory: 202, or 200 with the event within `wait` seconds.",
        body="MemoryRequest",
        answers=_WRITTEN,
        problems=WRITING,
        query=(WAIT,),
    ),
    Row(
        "POST",
        "/v1/memories/{memory_id}/opinion",
        "review",
        opinion,
        "Say what the caller holds of it, for or against: the opinions make its strength, never its status.",
        body="MemoryOpinionRequest",
        answers=_WRITTEN,
        problems=WRITING,
        query=(WAIT,),
    ),
    *(
        Row(
            "POST",
            f"/v1/memories/{{memory_id}}/{name}",
            "review",
            _change(name),
            summary,
            body=f"Memory{name.capitalize()}Request",
            answers=_WRITTEN,
            problems=WRITING,
            query=(WAIT,),
        )
        for name, summary in _SUMMARIES.items()
    ),
]
