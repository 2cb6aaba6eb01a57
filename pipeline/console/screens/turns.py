"""Turns: a list with filters."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.routes.reads import cursor_of, identity_of, keys_of, redis_of, shown_cursor
from endocrine.pipeline.views.redis import views

PAGE = 50
MOST_LOOKED_AT = 2000
"""Turns that are looked at for one page of a filtered list."""


async def turns(console: Console, request: Request, visitor: Visitor) -> Response:
    """List turns, newest first."""
    query = {name: text for name, text in request.query_params.items() if text}
    redis, named = redis_of(console.gateway), keys_of(console.gateway)
    identity = identity_of(console.gateway, visitor.caller, query)
    mode, project = query.get("mode"), query.get("project")
    key = named.turns(identity, None if identity else project)
    found: list[dict[str, Any]] = []
    place, looked = cursor_of(query), 0
    while True:
        page = await views.page(redis, key, PAGE, place)
        looked += len(page.members)
        for member, parts in zip(page.members, await views.turns_or_none(redis, named, page.members), strict=True):
            if parts is None:
                continue
            one = shown_turn(parts)
            if mode in (None, one["mode"]) and (not project or parts.get("opened", {}).get("project") == project):
                found.append(one)
                if len(found) == PAGE:
                    score = await redis.zscore(key, member)
                    place = None if score is None else (int(score), member)
                    break
        else:
            place = page.next
        if place is None or len(found) == PAGE or looked >= MOST_LOOKED_AT:
            break
    return console.page(
        request, visitor, "turns.html", title="Turns", turns=found, next=shown_cursor(place),
        stopped=looked >= MOST_LOOKED_AT and len(found) < PAGE,
    )  # fmt: skip


PAGES = (Page("/turns", turns, menu="Turns"),)
