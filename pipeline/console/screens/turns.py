"""Turns: a list with filters."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.paging import listed
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.routes.reads import identity_of, keys_of, redis_of
from endocrine.pipeline.views.redis import views

PAGE = 50


async def turns(console: Console, request: Request, visitor: Visitor) -> Response:
    """List turns, newest first."""
    query = {name: text for name, text in request.query_params.items() if text}
    redis, named = redis_of(console.gateway), keys_of(console.gateway)
    identity = identity_of(console.gateway, visitor.caller, query)
    mode, project = query.get("mode"), query.get("project")
    key = named.turns(identity, None if identity else project)

    async def shown(members: Sequence[bytes]) -> list[dict[str, Any] | None]:
        return [_fitting(parts, mode, project) for parts in await views.turns_or_none(redis, named, members)]

    page = await listed(redis, key, shown, query, PAGE)
    return console.page(request, visitor, "turns.html", title="Turns", page=page)


def _fitting(parts: dict[str, Any] | None, mode: str | None, project: str | None) -> dict[str, Any] | None:
    """A turn as a line of the list; None where the filters leave it out, or it went meanwhile."""
    if parts is None or (project and parts.get("opened", {}).get("project") != project):
        return None
    one = shown_turn(parts)
    return one if mode in (None, one["mode"]) else None


PAGES = (Page("/turns", turns, menu="Turns"),)
