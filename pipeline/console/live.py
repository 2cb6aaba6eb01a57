"""What tells an open page that there is news: a server-sent event whenever the newest turn or incident changes, or what
waits for a person."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from endocrine.pipeline.console.row import refused, to_sign_in, visitor_of
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import keys_of
from endocrine.pipeline.gateway.sse import event, stream
from endocrine.pipeline.views.redis import views, waiting

LOOK_S = 1.0
MOST = 200
"""Pages that may listen at once."""


def route(console: Console) -> Route:
    """Return the route."""
    listening = 0

    async def serve(request: Request) -> Response:
        nonlocal listening
        request.scope["route_template"] = "/console/live"
        try:
            visitor = await visitor_of(console, request)
            if visitor is None:
                return to_sign_in(request)
            visitor.caller.require("read")
            if listening >= MOST:
                raise Problem("overloaded", f"{MOST} pages listen already", headers={"retry-after": "60"})
        except Problem as problem:
            return refused(console, request, None, problem)

        async def pieces() -> AsyncGenerator[bytes, None]:
            nonlocal listening
            listening += 1
            try:
                async for one in _changes(console):
                    yield one
            finally:
                listening -= 1

        return stream(pieces())

    return Route("/live", serve, methods=["GET"])


async def _changes(console: Console) -> AsyncGenerator[bytes, None]:
    redis, named = console.gateway.redis, keys_of(console.gateway)
    last: list[Any] | None = None
    while redis is not None:
        try:
            newest = [(await views.page(redis, key, 1)).members for key in (named.turns(), named.incidents())]
            newest.append(await waiting.fingerprint(redis, named))
            if last is not None and newest != last:
                yield event("news", {})
            last = newest
        except (RedisError, OSError):
            pass  # the page shows what it has
        await asyncio.sleep(LOOK_S)
