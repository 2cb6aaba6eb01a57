"""The rows of the gateway's table as routes: the more specific path first, and 405 for what a path does not take."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from endocrine.pipeline.gateway.row import Row
from endocrine.pipeline.gateway.state import Gateway

_PARAMETER = re.compile(r"\{[^}]*\}")


class _OtherMethods:
    """Answers every method that no row of a path takes: 405, with those that there are."""

    def __init__(self, methods: Iterable[str]) -> None:
        self._allow = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(405, headers={"Allow": self._allow})


class Direct(BaseRoute):
    """Finds a route whose path has no parameter by one look-up; the router tries all others, one after the other.

    First in a router's list, it changes nothing but the time: what it does not take wholly, the list decides.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._by_path: dict[str, list[Route]] = {}
        for route in routes:
            if isinstance(route, Route) and not _PARAMETER.search(route.path):
                self._by_path.setdefault(route.path, []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the first route that takes path and method."""
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._by_path.get(scope["path"], ()):
                match, child = route.matches(scope)
                if match is Match.FULL:
                    return match, {**child, "direct": route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the route that was found."""
        await scope["direct"].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Refuse: the routes themselves have names. Raises NoMatchFound."""
        raise NoMatchFound(name, path_params)


def routes_of(rows: Sequence[Row], gateway: Gateway) -> list[Route]:
    """Return the routes of the rows.

    An id in a path may hold slashes, so `/v1/identities/{identity}` takes what `/v1/identities/{identity}/links/apply`
    takes, too: the path with more text of its own goes first, with every method.
    """
    by_path: dict[str, list[Row]] = {}
    for row in rows:
        by_path.setdefault(row.path, []).append(row)
    found: list[Route] = []
    for path in sorted(by_path, key=lambda path: -len(_PARAMETER.sub("", path))):
        own = [row.route(gateway) for row in by_path[path]]
        methods = {method for route in own for method in route.methods or ()}
        found += [*own, Route(own[0].path, _OtherMethods(methods))]
    return found
