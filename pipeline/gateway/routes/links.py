"""Links of an identity to others, and the group that applied links make: from the read models, advice for people.

Written by operators' commands alone. No decision about a turn reads this.
"""

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller, checked_identity
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import Query, Row, checked_query, json_response, one_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.redis import views
from endocrine.schemas.vocabulary import LinkStatus

STATUSES: tuple[str, ...] = get_args(LinkStatus)


def _identity(gateway: Gateway, request: Request, caller: Caller) -> str:
    """The identity that the path names. Raises Problem, 422, or 403 for a key of one identity: links name others."""
    name = checked_identity(gateway.names, request.path_params["identity"])
    if caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only; links name others")
    return name


async def links(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """GET /v1/identities/{identity}/links."""
    status = one_of(checked_query(request, "status"), "status", STATUSES)
    name = _identity(gateway, request, caller)
    return json_response({"identity": name, "items": await views.links(redis_of(gateway), name, status=status)})


async def group(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """GET /v1/identities/{identity}/group."""
    checked_query(request)
    name = _identity(gateway, request, caller)
    found = await views.link_group(redis_of(gateway), name)
    return json_response({"identity": name, "members": found.members, "truncated": found.truncated})


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
]
