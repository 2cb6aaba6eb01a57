"""Links of an identity to others, and the group that applied links make: from the read models, advice for people.

Written by operators' commands alone. No decision about a turn reads this.
"""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.bodies import read_body
from endocrine.pipeline.gateway.callers import Caller, checked_identity
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import WAIT, Query, Row, checked_query, json_response, one_of, wait_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.subject_commands import WRITING, completed, sent
from endocrine.pipeline.views.redis import views
from endocrine.schemas.base import Id, Ts
from endocrine.schemas.vocabulary import LinkStatus

STATUSES: tuple[str, ...] = get_args(LinkStatus)


def _identity(gateway: Gateway, request: Request, caller: Caller) -> str:
    """The identity that the path names. Raises Problem, 422, or 403 for a key of one identity: links name others."""
    name = checked_identity(gateway.names, request.path_params["identity"])
    if caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only; links name others")
    return name


async def links(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/identities/{identity}/links."""
    status = one_of(checked_query(request, "status"), "status", STATUSES)
    name = _identity(gateway, request, caller)
    return json_response({"identity": name, "items": await views.links(redis_of(gateway), name, status=status)})


async def group(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/identities/{identity}/group."""
    checked_query(request)
    name = _identity(gateway, request, caller)
    found = await views.link_group(redis_of(gateway), name)
    return json_response({"identity": name, "members": found.members, "truncated": found.truncated})


class LinkRequest(BaseModel):
    """What a person decides of the link of two identities."""

    model_config = ConfigDict(extra="forbid", strict=True)

    other: Annotated[Id, Field(description="The other identity, by any of its names.")]
    reason: Annotated[str | None, Field(max_length=2000, description="Why, for people.")] = None
    by: Annotated[Id | None, Field(description="Who decides; with a key always the key's name.")] = None
    ts: Annotated[Ts | None, Field(description="Event time, seconds since 1970 UTC; now where left out.")] = None
    id: Annotated[Id | None, Field(description="Id of the command; copies share it.")] = None


def _write(kind: str) -> Any:
    async def write(gateway: Gateway, request: Request, caller: Caller) -> Response:
        wait_s = wait_of(checked_query(request, "wait"))
        body = (await read_body(request, gateway.limits.body_bytes, gateway.limits.read_s)).one
        if unknown := body.keys() - LinkRequest.model_fields.keys():
            raise Problem(
                "invalid", f"{len(unknown)} fields are not known; expected {', '.join(LinkRequest.model_fields)}"
            )
        name, other = _identity(gateway, request, caller), checked_identity(gateway.names, body.get("other"))
        if name == other:
            raise Problem("invalid", "other: a name of the same identity; expected another one", field="other")
        slot = await gateway.idempotency.begin(caller, request, body)
        if slot.answer is not None:
            return slot.answer
        a, b = sorted((name, other))
        given = {part: value for part, value in body.items() if part != "other" and value is not None}
        value = checked(gateway, "commands", completed(caller, slot, a, {**given, "kind": kind, "b": b}))
        return await sent(gateway, request, caller, slot, value, wait_s, "link-events")

    return write


_WRITES = {
    "apply": "Say that two identities are one actor's. Views show the union; nothing is merged.",
    "reverse": "Take that back. The evidence is kept.",
    "dismiss": "Say that they are not one actor's: not proposed again without a new kind of evidence.",
}
_PROBLEMS = ("views_away", "identity_not_allowed")
ROUTES = [
    Row(
        "GET",
        "/v1/identities/{identity}/links",
        "read",
        links,
        "Links of an identity to others, with their evidence, the highest score first. Advice; never a gate.",
        problems=_PROBLEMS,
        query=(Query("status", "Of this status.", {"type": "string", "enum": list(STATUSES)}),),
    ),
    Row(
        "GET",
        "/v1/identities/{identity}/group",
        "read",
        group,
        f"The identities that applied links connect with one, at most {views.MOST_GROUP}.",
        problems=_PROBLEMS,
    ),
    *(
        Row(
            "POST",
            f"/v1/identities/{{identity}}/links/{name}",
            "review",
            _write(f"link_{name}"),
            summary,
            body="LinkRequest",
            answers={200: "Outcome", 202: "Outcome"},
            problems=WRITING,
            query=(WAIT,),
        )
        for name, summary in _WRITES.items()
    ),
]
