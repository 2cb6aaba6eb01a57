"""Signing in with an API key, and out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from endocrine.pipeline.console.links import ROOT, back_to
from endocrine.pipeline.console.row import form_of, refused, visitor_of
from endocrine.pipeline.console.sessions import check_origin
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.keys import digest_of
from endocrine.pipeline.gateway.problems import Problem


def routes(console: Console) -> list[Route]:
    """Return the routes. What is asked here needs no session."""

    async def ask(request: Request) -> Response:
        request.scope["route_template"] = f"{ROOT}/sign-in"
        try:
            if await visitor_of(console, request) is not None:
                return RedirectResponse(back_to(request.query_params.get("next", "")), 303, HEADERS)
        except Problem as problem:
            return refused(console, request, None, problem)
        return console.page(
            request, None, "sign_in.html", wrong=False, back=back_to(request.query_params.get("next", ""))
        )

    async def begin(request: Request) -> Response:
        request.scope["route_template"] = f"{ROOT}/sign-in"
        try:
            check_origin(request)
            form = await form_of(request)
            back = back_to(str(form.get("next", "")))
            digest = digest_of(str(form.get("key", "")).strip())
            if await console.gateway.doorkeeper.of_digest(digest) is None:
                return console.page(request, None, "sign_in.html", 401, wrong=True, back=back)
            response = RedirectResponse(back, 303, HEADERS)
            console.sessions.keep(response, request, console.sessions.begin(digest))
            return response
        except Problem as problem:
            return refused(console, request, None, problem)

    async def end(request: Request) -> Response:
        request.scope["route_template"] = f"{ROOT}/sign-out"
        try:
            session = console.sessions.read(request)
            if session is not None:
                form = await form_of(request)
                console.sessions.check(request, session, str(form.get("csrf", "")))
            response = RedirectResponse(f"{ROOT}/sign-in", 303, HEADERS)
            console.sessions.end(response)
            return response
        except Problem as problem:
            return refused(console, request, None, problem)

    return [
        Route("/sign-in", ask, methods=["GET"]),
        Route("/sign-in", begin, methods=["POST"]),
        Route("/sign-out", end, methods=["POST"]),
    ]
