"""Parts of the console that need no broker: what is vendored, what a page may hold, where signing in leads."""

import hashlib
import re
import time
from types import SimpleNamespace

import itsdangerous.timed
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.console.links import Links, back_to
from endocrine.pipeline.console.sessions import COOKIE, Sessions
from endocrine.pipeline.console.static_files import NAMES
from endocrine.pipeline.console.templates import STATIC, rendered

VENDORED = re.compile(r"\| (\S+) \| \S+ \| \S+ \| \S+ \| ([0-9a-f]{64}) \|")


def request(cookie=""):
    headers = [(b"host", b"x"), (b"cookie", f"{COOKIE}={cookie}".encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "scheme": "https", "query_string": b"",
                    "server": ("x", 443), "headers": headers})  # fmt: skip


def test_vendored_files_are_those_of_their_packages():
    listed = dict(VENDORED.findall(STATIC.joinpath("vendor/README.md").read_text()))
    assert {f"vendor/{name}" for name in listed} == {name for name in NAMES if name.startswith("vendor/")}
    for name, digest in listed.items():
        assert hashlib.sha256(STATIC.joinpath("vendor", name).read_bytes()).hexdigest() == digest


@given(st.text(max_size=60))
def test_signing_in_never_leads_to_another_site(path):
    for given_path in (path, f"/console{path}", f"//{path}", f"/console/{path}"):
        back = back_to(given_path)
        assert back == "/console" or back.startswith(("/console/", "/console?"))
        assert not re.search(r"[\\\r\n\t]|\.\.", back)


@given(st.text(min_size=1, max_size=40))
def test_what_is_shown_is_text_whatever_it_holds(hostile):
    def page_of(text):
        problem = {"title": text, "detail": text, "status": 1, "request_id": text}
        links = Links("", [])
        return rendered("problem.html", visitor=None, token="", navigation=(), links=links, here="", query={},
                        version="1", problem=problem)  # fmt: skip

    page, known = page_of(hostile), page_of("x")
    assert page.count(b"<") == known.count(b"<")
    assert page.count(b">") == known.count(b">")


def test_a_session_is_read_back_and_a_changed_one_or_anothers_is_not():
    mine, others = Sessions(b"a" * 32, 60), Sessions(b"b" * 32, 60)
    session, response = mine.begin("d" * 64), Response()
    mine.keep(response, request(), session)
    cookie = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert mine.read(request(cookie)) == session
    assert others.read(request(cookie)) is None
    content, _, signature = cookie.rpartition(".")
    # The first sign of the signature: of the last one some bits count for nothing.
    assert mine.read(request(f"{content}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}")) is None
    assert mine.read(request("")) is None
    assert mine.token(session) != mine.token(mine.begin("d" * 64))
    assert "secure" in response.headers["set-cookie"].lower()


def test_a_session_that_is_too_old_has_ended(monkeypatch):
    mine = Sessions(b"a" * 32, 60)
    response = Response()
    mine.keep(response, request(), mine.begin())
    cookie = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    late = time.time() + 61
    monkeypatch.setattr(itsdangerous.timed, "time", SimpleNamespace(time=lambda: late))
    assert mine.read(request(cookie)) is None


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_page_may_load_is_there(name):
    assert STATIC.joinpath(name).read_bytes()
