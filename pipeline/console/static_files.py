"""The files that pages load: from a closed list, kept by browsers for ever since their address holds their digest."""

import mimetypes
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from endocrine.pipeline.console.state import HEADERS
from endocrine.pipeline.console.templates import STATIC
from endocrine.pipeline.gateway.problems import Problem

NAMES = ("console.css", "console.js", "copy.js", "icon.svg", "vendor/htmx.min.js", "vendor/uPlot.iife.min.js",
         "vendor/uPlot.min.css")  # fmt: skip


@cache
def _content(name: str) -> bytes:
    return STATIC.joinpath(name).read_bytes()


async def serve(request: Request) -> Response:
    """Return a file. Raises Problem, 404."""
    name = request.path_params["name"]
    request.scope["route_template"] = "/console/static"
    if name not in NAMES:
        raise Problem("not_found", "no such file")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(_content(name), 200, {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}, kind)


ROUTE = Route("/static/{name:path}", serve, methods=["GET"])
