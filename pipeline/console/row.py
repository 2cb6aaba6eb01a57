"""One page: path, the scope that it needs, the call that makes it, and how errors are shown."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from endocrine.pipeline.console.links import ROOT
from endocrine.pipeline.console.proxy import session_digest
from endocrine.pipeline.console.sessions import TOKEN_FIELD, TOKEN_HEADER, Session, Visitor
from endocrine.pipeline.console.state import HEADERS, Console
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.keys import Scope
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic

Handler = Callable[[Console, Request, Visitor], Awaitable[Response]]
MOST_FORM = 64 << 10


@dataclass(frozen=True)
class Page:
    """A page, or with `post` an action: its form must carry the session's token."""

    path: str
    handler: Handler
    scope: Scope = "read"
    menu: str = ""
    """Title in the menu; empty: not in it."""
    post: bool = False

    def route(self, console: Console) -> Route:
        """Return the page as Starlette takes it."""

        async def serve(request: Request) -> Response:
            begun = time.perf_counter()
            response = await answer(request)
            response.headers["server-timing"] = f"page;dur={1000 * (time.perf_counter() - begun):.1f}"
            return response

        async def answer(request: Request) -> Response:
            request.scope["route_template"] = ROOT + self.path
            visitor: Visitor | None = None
            try:
                visitor = await visitor_of(console, request)
                if visitor is None:
                    return to_sign_in(request)
                visitor.caller.require(self.scope)
                if self.post:
                    console.sessions.check(request, visitor.session, await _token(request))
                return await self.handler(console, request, visitor)
            except Problem as problem:
                return refused(console, request, visitor, problem)
            except RedisError as error:
                away = Problem("views_away", f"Redis: {type(error).__name__}", headers={"retry-after": "2"})
                return refused(console, request, visitor, away)
            except (KafkaError, NoSuchTopic, TimeoutError) as error:
                away = Problem("broker_away", f"the broker: {type(error).__name__}", headers={"retry-after": "2"})
                return refused(console, request, visitor, away)

        return Route(self.path, serve, methods=["POST" if self.post else "GET"])


async def visitor_of(console: Console, request: Request) -> Visitor | None:
    """Return who looks; None: nobody has signed in, and a key is needed. Raises Problem: 403 or 429."""
    session = console.sessions.read(request)
    doorkeeper = console.gateway.doorkeeper
    proxy = console.operations.proxy
    by_proxy = None if proxy is None else proxy.caller(request, console.gateway.names)
    if by_proxy is not None:
        return _of_proxy(console, session, by_proxy)
    if proxy is not None and not doorkeeper.keyed:
        # Without keys this machine may do everything, and a proxy on it would make everybody this machine.
        raise Problem("unauthorized", f"header {proxy.header}: not there; sign in with the proxy")
    if not doorkeeper.keyed:
        caller: Caller | None = await doorkeeper.known(request)
    else:
        caller = None if session is None else await doorkeeper.of_digest(session.digest)
    if caller is None:
        return None
    if caller.identity_from == "fixed":
        raise Problem("identity_not_allowed", f"the key {caller.name!r} is of one identity; the console shows all")
    fresh = session is None
    kept = session or console.sessions.begin()
    return Visitor(caller, kept, console.sessions.token(kept), fresh)


def _of_proxy(console: Console, session: Session | None, caller: Caller) -> Visitor:
    """A session that began for somebody else, or with a key, is not this user's."""
    digest = session_digest(caller.name)
    fresh = session is None or session.digest != digest
    kept = console.sessions.begin(digest) if session is None or fresh else session
    return Visitor(caller, kept, console.sessions.token(kept), fresh, signed_in_here=False)


def to_sign_in(request: Request) -> Response:
    """Return the way to the form that asks for a key, and back."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = path if request.method == "GET" else ROOT
    return RedirectResponse(f"{ROOT}/sign-in?next={quote(wanted, safe='')}", 303, HEADERS)


def refused(console: Console, request: Request, visitor: Visitor | None, problem: Problem) -> Response:
    """Return the page of an error."""
    document = problem.as_json(request.state.request_id)
    response = console.page(request, visitor, "problem.html", problem.status, problem=document)
    response.headers.update(problem.headers)
    return response


async def form_of(request: Request) -> FormData:
    """Return the fields of a form, each at most once. Raises Problem: 413, 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Problem("unsupported_media_type", "expected application/x-www-form-urlencoded")
    size = 0
    parts: list[bytes] = []
    async for part in request.stream():
        size += len(part)
        if size > MOST_FORM:
            raise Problem("too_large", f"the form: more than {MOST_FORM} bytes")
        parts.append(part)
    request._body = b"".join(parts)
    return await request.form(max_files=0, max_fields=100)


async def _token(request: Request) -> str:
    given = request.headers.get(TOKEN_HEADER)
    if given is None:
        given = str((await form_of(request)).get(TOKEN_FIELD, ""))
    return given
