"""Conflicts of a subject's values: read from the read models, ended by a person's command."""

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.routes.reads import redis_of
from endocrine.pipeline.gateway.row import WAIT, Query, Row, checked_query, json_response, one_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.subject_commands import SUBJECT, WRITING, command, subject_named
from endocrine.pipeline.views.redis import views
from endocrine.schemas.vocabulary import ConflictStatus


async def listed(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/conflicts."""
    query = checked_query(request, "subject", "status")
    status = one_of(query, "status", get_args(ConflictStatus))
    subject = subject_named(gateway, caller, query.get("subject"))
    found = await views.conflicts(redis_of(gateway), subject, status=status)
    return json_response({"subject": subject, "items": [shown_to(caller, "conflicts", one) for one in found]})


async def resolve(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve POST /v1/conflicts/{conflict_id}/resolve."""
    fixed = {"kind": "conflict_resolve", "conflict_id": request.path_params["conflict_id"]}
    return await command(gateway, request, caller, fixed, "conflict-events", "slot", "action", "winner", "reason")


ROUTES = [
    Row(
        "GET",
        "/v1/conflicts",
        "read",
        listed,
        "The latest conflict of each slot of a subject, by slot.",
        problems=("views_away", "identity_not_allowed"),
        query=(SUBJECT, Query("status", "Of this status.", {"type": "string", "enum": list(get_args(ConflictStatus))})),
    ),
    Row(
        "POST",
        "/v1/conflicts/{conflict_id}/resolve",
        "review",
        resolve,
        "End an open conflict: 202, or 200 with the event within `wait` seconds; 409 where it is refused.",
        body="ConflictRequest",
        answers={200: "Outcome", 202: "Outcome"},
        problems=WRITING,
        query=(WAIT,),
    ),
]
