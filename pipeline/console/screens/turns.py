"""Turns: a list with filters, and one turn as its audit bundle tells it."""

from collections.abc import Sequence
from typing import Any, cast

import orjson
from annotated_types import Ge, Le
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.paging import listed
from endocrine.pipeline.console.row import Page
from endocrine.pipeline.console.screens.overview import shown_turn
from endocrine.pipeline.console.sessions import Visitor
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.core.hash_chain import link_hash
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.places import RecordPosition, records_at
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import identity_of, keys_of, redis_of, with_bodies
from endocrine.pipeline.views.explain.find import Explained
from endocrine.pipeline.views.explain.sections import paragraphs, sections
from endocrine.pipeline.views.explain.sections import title as title_of
from endocrine.pipeline.views.redis import views
from endocrine.schemas.modulations import Parameters

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


async def turn(console: Console, request: Request, visitor: Visitor) -> Response:
    """Show one turn: what was decided, why, and the result."""
    gateway, audit_id = console.gateway, request.path_params["audit_id"]
    parts = await views.turn(redis_of(gateway), keys_of(gateway), audit_id)
    if parts is None:
        raise Problem("not_found", "no such turn in the read models; they may be a moment behind")
    places: list[RecordPosition] = [
        ("audits", *cast(tuple[int, int], part["at"])) for name, part in parts.items() if name.startswith("audit/")
    ]
    raws = await records_at(gateway.settings, places)
    bundles = [orjson.loads(raws[place].value) for place in places if place in raws]
    bundles.sort(key=lambda bundle: bundle["supplement"])
    altered = [bundle["hash"] for bundle in bundles if link_hash(bundle) != bundle["hash"]]
    shown = [shown_to(visitor.caller, "audits", bundle) for bundle in bundles]
    explained = Explained(shown[0], shown[1:], altered=altered) if shown else None
    (bodies,) = await with_bodies(gateway, visitor.caller, [parts])
    return console.page(
        request,
        visitor,
        "turn.html",
        title=title_of(explained) if explained else f"Turn {audit_id}",
        turn=shown_turn(parts),
        bodies=bodies,
        paragraphs=paragraphs(explained) if explained else [],
        sections=sections(explained) if explained else [],
        parameters=_parameters(parts.get("modulation")),
        raw=orjson.dumps(explained.as_json(), option=orjson.OPT_INDENT_2).decode() if explained else "",
    )


def _parameters(modulation: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The numbers that were decided, each with its bounds and its share of the way between them, 0 to 100."""
    given, found = (modulation or {}).get("parameters") or {}, []
    for name, info in Parameters.model_fields.items():
        one = given.get(name)
        least = next((part.ge for part in info.metadata if isinstance(part, Ge)), None)
        most = next((part.le for part in info.metadata if isinstance(part, Le)), None)
        if isinstance(one, int | float) and least is not None and most is not None:
            low, high = float(cast(float, least)), float(cast(float, most))
            share = round(100 * (float(one) - low) / (high - low), 1)
            found.append(
                {"name": name, "value": one, "least": least, "most": most, "share": max(0.0, min(100.0, share))}
            )
    return found


PAGES = (Page("/turns", turns, menu="Turns"), Page("/turns/{audit_id:id}", turn))
