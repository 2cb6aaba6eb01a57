"""Who may do what in the console: every page and action of the real list, with keys of each scope.

A new action or page that is not in the tables makes the first test fail: add its row.
"""

import dataclasses
import uuid
from types import SimpleNamespace

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount

from endocrine.pipeline.console.app import PAGES
from endocrine.pipeline.console.links import ROOT
from endocrine.pipeline.console.sessions import COOKIE, TOKEN_FIELD, TOKEN_HEADER, Sessions
from endocrine.pipeline.console.state import Console
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.keys import SCOPES

ACTIONS = {
    "/approvals": "operate",
    "/bonds": "operate",
    "/dead-letters": "operate",
    "/links": "review",
    "/memory": "review",
    "/memory/conflicts": "review",
    "/memory/trusted": "operate",
    "/policy": "operate",
    "/replays": "operate",
}
"""Path of each action, and the one scope that may do it."""
PRIVATE: dict[str, str] = {}
"""Path of each page that needs another scope than `read`."""
POSTS = [page for page in PAGES if page.post]
GETS = [page for page in PAGES if not page.post]


class Doorkeeper:
    """Knows a key of each scope alone, by the scope's name as its digest; `gone` was revoked."""

    keyed = True

    async def of_digest(self, digest):
        return Caller(digest, frozenset((digest,))) if digest in SCOPES else None


class Browser:
    """Asks one page, whose handler only notes that it was reached."""

    def __init__(self, page):
        self.reached = 0
        gateway = SimpleNamespace(doorkeeper=Doorkeeper(), version="1")
        self.sessions = Sessions(b"s" * 32, 600)
        console = Console(gateway, self.sessions, (), SimpleNamespace(proxy=None))

        async def reach(*_):
            self.reached += 1
            return Response(status_code=204)

        self.path = page.path.replace(":id}", "}")
        route = dataclasses.replace(page, path=self.path, handler=reach).route(console)
        app = Starlette(routes=[Mount(ROOT, routes=[route])])

        async def with_id(scope, receive, send):
            scope.setdefault("state", {})["request_id"] = uuid.uuid4().hex
            await app(scope, receive, send)

        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=with_id), base_url="http://console")

    def session(self, scope):
        """A session of the key with this scope, its cookie and its token."""
        session = self.sessions.begin(scope)
        response = Response()
        request = SimpleNamespace(url=SimpleNamespace(scheme="http"))
        self.sessions.keep(response, request, session)
        cookie = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
        return cookie, self.sessions.token(session)

    async def ask(self, method, cookie=None, token=None, headers=None, **more):
        """Whether the handler was reached, and the status."""
        form = {"x": "y"} | ({TOKEN_FIELD: token} if token is not None else {})
        sent = {"data": form} if method == "POST" and "content" not in more else more
        headers = (headers or {}) | ({"cookie": f"{COOKIE}={cookie}"} if cookie else {})
        path = ROOT + self.path.replace("{", "x").replace("}", "x")
        before = self.reached
        answer = await self._client.request(method, path, headers=headers, **sent)
        return self.reached > before, answer.status_code


def named(page):
    return page.path


def test_every_action_and_every_page_of_another_scope_has_a_row_here():
    assert {page.path: page.scope for page in POSTS} == ACTIONS
    assert {page.path: page.scope for page in GETS if page.scope != "read"} == PRIVATE
    assert len({(page.path, page.post) for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("page", POSTS, ids=named)
async def test_an_action_works_for_its_scope_and_for_no_other(page, scope):
    browser = Browser(page)
    cookie, token = browser.session(scope)
    may = scope == ACTIONS[page.path]
    assert await browser.ask("POST", cookie, token) == (may, 204 if may else 403)
    by_header = {TOKEN_HEADER: token}
    assert await browser.ask("POST", cookie, headers=by_header) == (may, 204 if may else 403)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("page", GETS, ids=named)
async def test_a_page_is_shown_to_its_scope_and_to_no_other(page, scope):
    browser = Browser(page)
    cookie, _ = browser.session(scope)
    may = scope == PRIVATE.get(page.path, "read")
    assert await browser.ask("GET", cookie) == (may, 204 if may else 403)


@pytest.mark.parametrize("page", POSTS, ids=named)
async def test_an_action_needs_the_token_of_its_own_session(page):
    browser = Browser(page)
    cookie, token = browser.session(ACTIONS[page.path])
    _, anothers = browser.session(ACTIONS[page.path])
    for wrong in (None, "", anothers, token[:-1], token.upper(), token + "0"):
        assert await browser.ask("POST", cookie, wrong) == (False, 403), wrong
        assert await browser.ask("POST", cookie, token, headers={TOKEN_HEADER: wrong or ""}) == (False, 403)
    json = {"content": b'{"csrf":"%b"}' % token.encode()}
    assert await browser.ask("POST", cookie, headers={"content-type": "application/json"}, **json) == (False, 415)
    plain = {"content": f"{TOKEN_FIELD}={token}".encode()}
    assert await browser.ask("POST", cookie, headers={"content-type": "text/plain"}, **plain) == (False, 415)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://console.evil.example"},
        {"origin": "http://console:8081"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://console", "sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("page", POSTS, ids=named)
async def test_an_action_that_another_site_sends_does_nothing_even_with_the_token(page, headers):
    browser = Browser(page)
    cookie, token = browser.session(ACTIONS[page.path])
    assert await browser.ask("POST", cookie, token, headers) == (False, 403)
    same = {"origin": "http://console", "sec-fetch-site": "same-origin"}
    assert await browser.ask("POST", cookie, token, same) == (True, 204)


@pytest.mark.parametrize("page", PAGES, ids=named)
async def test_nothing_is_reached_without_a_session_or_with_one_of_a_revoked_key(page):
    browser = Browser(page)
    method = "POST" if page.post else "GET"
    gone, token = browser.session("gone")
    for cookie in (None, "forged", gone, gone[:-3] + "AAA"):
        assert await browser.ask(method, cookie, token) == (False, 303), cookie


@pytest.mark.parametrize("page", POSTS, ids=named)
async def test_an_action_is_not_done_by_a_link(page):
    browser = Browser(page)
    cookie, token = browser.session(ACTIONS[page.path])
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert await browser.ask(method, cookie, token) == (False, 405)
