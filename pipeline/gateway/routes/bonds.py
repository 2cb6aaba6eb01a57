"""The bond ledger: the list, and whether a message would be within an identity's cap. Advice, from the read models.

What admits a turn is the modulation; nothing is written here.
"""

import time

from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.bonds.cap import check_cap
from endocrine.pipeline.gateway.callers import Caller, checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import (
    DEFAULT,
    MOST,
    PAGE,
    TIME,
    cursor_of,
    in_reach,
    redis_of,
    shown_cursor,
    time_of,
)
from endocrine.pipeline.gateway.row import Query, Row, checked_query, json_response, number_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.redis import views


async def bonds(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/bonds."""
    query = checked_query(request, "phase", "risk", "limit", "cursor")
    limit, before = number_of(query, "limit", DEFAULT, 1, MOST), cursor_of(query)
    if caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only")
    redis = redis_of(gateway)
    found = await views.bonds(redis, limit, before, phase=query.get("phase"), risk=query.get("risk"))
    items = [shown_to(caller, "bonds", entry.model_dump()) for entry in found.entries]
    foreign = await views.foreign_keys(redis)
    return json_response({"items": items, "next": shown_cursor(found.next), "foreign_keys": foreign})


async def check(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/bonds/{identity}/check."""
    query = checked_query(request, "at")
    at = time_of(query, "at")
    name = checked_identity(gateway.names, request.path_params["identity"])
    in_reach(caller, name)
    entry = await views.bond(redis_of(gateway), name)
    cap, count, reset_at = (0, 0, 0.0)
    if entry is not None:
        cap, count, reset_at = entry.daily_msg_cap, entry.daily_msg_count, entry.daily_msg_reset_at
    found = check_cap(
        cap, count, reset_at, time.time() if at is None else at, day_s=gateway.policy.document.bonds.day_s
    )
    return json_response(
        {
            "identity": name,
            "allowed": found.allowed,
            "remaining": found.remaining,
            "resets_at": found.resets_at,
            "cap": cap,
            "count": found.count,
            "as_of": None if entry is None else entry.last_updated,
        }
    )


ROUTES = [
    Row(
        "GET",
        "/v1/bonds/{identity}/check",
        "read",
        check,
        "Whether a message would be within the identity's cap: advice, which writes nothing.",
        problems=("views_away", "identity_not_allowed"),
        query=(
            Query(
                "at",
                "Event time of the message: ISO 8601 (no zone: UTC) or seconds since 1970; now where left out.",
                TIME,
            ),
        ),
    ),
    Row(
        "GET",
        "/v1/bonds",
        "read",
        bonds,
        "Bonds, the last updated first; `foreign_keys` counts those of another program, which are not listed.",
        problems=("views_away", "identity_not_allowed"),
        query=(Query("phase", "In this phase."), Query("risk", "Of this risk level."), *PAGE),
    ),
]
