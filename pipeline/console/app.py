"""The console as one route of the gateway."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from endocrine.pipeline.console import live, sign_in, static_files
from endocrine.pipeline.console.links import ROOT
from endocrine.pipeline.console.operations import Operations
from endocrine.pipeline.console.row import Page, refused, to_sign_in, visitor_of
from endocrine.pipeline.console.screens import (
    approvals,
    bonds,
    conflicts,
    dead_letters,
    health,
    identity,
    incidents,
    memory,
    overview,
    policy,
    replays,
    timeline_page,
    topic_feeds,
    topics,
    trusted,
    turn,
    turns,
)
from endocrine.pipeline.console.sessions import Sessions
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.process.seal_keys import load_seals

PAGES: Sequence[Page] = (
    *overview.PAGES,
    *turns.PAGES,
    *turn.PAGES,
    *incidents.PAGES,
    *approvals.PAGES,
    *identity.PAGES,
    *timeline_page.PAGES,
    *memory.PAGES,
    *conflicts.PAGES,
    *trusted.PAGES,
    *bonds.PAGES,
    *topics.PAGES,
    *topic_feeds.PAGES,
    *dead_letters.PAGES,
    *replays.PAGES,
    *policy.PAGES,
    *health.PAGES,
)


def routes(gateway: Gateway, settings: ConsoleSettings | None = None) -> list[BaseRoute]:
    """Return the routes of the console. Raises SealKeyError, SettingsError."""
    bounds = settings or ConsoleSettings()
    secret = load_seals(gateway.settings).derived_key(b"endocrine-console")
    menu = tuple((ROOT + page.path, page.menu) for page in PAGES if page.menu)
    console = Console(gateway, Sessions(secret, bounds.session_s), menu, Operations(gateway, bounds), bounds)

    async def missing(request: Request) -> Response:
        request.scope["route_template"] = f"{ROOT}/other"
        try:
            visitor = await visitor_of(console, request)
        except Problem as problem:
            return refused(console, request, None, problem)
        if visitor is None:
            return to_sign_in(request)
        return refused(console, request, visitor, Problem("not_found", "no such page"))

    made = [page.route(console) for page in PAGES]
    first = Route(ROOT, next(page for page in PAGES if page.path == "/").route(console).endpoint, methods=["GET"])
    other = Route("/{path:path}", missing, methods=["GET", "POST"])
    inner = [static_files.ROUTE, *sign_in.routes(console), live.route(console), *made, other]
    return [first, Mount(ROOT, routes=inner)]
