"""Signing in by a proxy's header: off as shipped, and nobody but the proxy can use it."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from endocrine.pipeline.console.proxy import TrustedProxy, session_digest
from endocrine.pipeline.console.row import visitor_of
from endocrine.pipeline.console.sessions import COOKIE, Session, Sessions
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.process.environment import SettingsError

SECRET = "s" * 40
NAMES = NameTable()
PROXY = TrustedProxy("X-User", "x-secret", SECRET.encode(), frozenset(["read"]), {"ann": ("read", "operate")})


def request(*headers):
    made = [(name.lower().encode(), value.encode("latin-1")) for name, value in (("host", "x"), *headers)]
    return Request({"type": "http", "method": "GET", "path": "/", "scheme": "https", "query_string": b"",
                    "server": ("x", 443), "headers": made, "client": ("127.0.0.1", 1)})  # fmt: skip


def test_whom_the_proxy_names_has_the_scopes_of_the_settings():
    bob = PROXY.caller(request(("x-user", "bob@example.org"), ("x-secret", SECRET)), NAMES)
    ann = PROXY.caller(request(("X-User", "ann"), ("X-Secret", SECRET)), NAMES)
    assert (bob.name, bob.scopes) == ("bob@example.org", {"read"})
    assert ann.scopes == {"read", "operate"}
    assert PROXY.caller(request(), NAMES) is None


@pytest.mark.parametrize(
    "headers",
    [
        [("x-user", "ann")],
        [("x-secret", SECRET)],
        [("x-user", "ann"), ("x-secret", "")],
        [("x-user", "ann"), ("x-secret", SECRET[:-1])],
        [("x-user", "ann"), ("x-secret", SECRET + "s")],
        [("x-user", "ann"), ("x-user", "bob"), ("x-secret", SECRET)],
        [("x-user", "bob"), ("x-secret", "guess"), ("x-secret", SECRET)],
        [("x-user", ""), ("x-secret", SECRET)],
        [("x-user", "a b"), ("x-secret", SECRET)],
        [("x-user", "ann\xe9"), ("x-secret", SECRET)],
        [("x-user", "ann,bob"), ("x-secret", SECRET)],
        [("x-user", "a" * 129), ("x-secret", SECRET)],
    ],
)
def test_what_the_proxy_would_not_send_is_refused_and_names_no_value(headers):
    with pytest.raises(Problem) as refused:
        PROXY.caller(request(*headers), NAMES)
    assert refused.value.status == 403
    assert SECRET not in refused.value.detail
    assert "guess" not in refused.value.detail


@given(st.text(st.characters(max_codepoint=255, blacklist_categories=["Cc"]), max_size=60))
def test_no_guess_is_the_secret(guess):
    with pytest.raises(Problem):
        PROXY.caller(request(("x-user", "ann"), ("x-secret", guess)), NAMES)


def console(proxy, *, keyed, known=None, digests=None):
    async def of_digest(digest):
        return (digests or {}).get(digest)

    async def local(_):
        return known

    doorkeeper = SimpleNamespace(keyed=keyed, of_digest=of_digest, known=local)
    gateway = SimpleNamespace(doorkeeper=doorkeeper, names=NAMES)
    return SimpleNamespace(
        gateway=gateway, sessions=Sessions(b"k" * 32, 60), operations=SimpleNamespace(proxy=proxy)
    )  # fmt: skip


def cookie(of, session):
    return ("cookie", f"{COOKIE}={of.sessions._cookies.dumps({'id': session.id, 'key': session.digest})}")


async def test_as_shipped_the_header_counts_for_nothing():
    here = console(TrustedProxy.of(ConsoleSettings()), keyed=True)
    assert await visitor_of(here, request(("x-user", "ann"), ("x-secret", SECRET))) is None


async def test_with_a_proxy_and_no_keys_this_machine_may_not_do_everything():
    here = console(PROXY, keyed=False, known=Caller("local", keyed=False))
    with pytest.raises(Problem) as refused:
        await visitor_of(here, request())
    assert refused.value.status == 401
    assert (await visitor_of(here, request(("x-user", "ann"), ("x-secret", SECRET)))).caller.name == "ann"


async def test_a_session_is_of_one_user_and_is_worth_nothing_without_the_proxy():
    here = console(PROXY, keyed=True, digests={"d" * 64: Caller("key")})
    by_proxy = [("x-user", "ann"), ("x-secret", SECRET)]
    first = await visitor_of(here, request(*by_proxy))
    assert (first.fresh, first.signed_in_here, first.session.digest) == (True, False, session_digest("ann"))
    kept = cookie(here, first.session)
    again = await visitor_of(here, request(*by_proxy, kept))
    assert (again.fresh, again.token) == (False, first.token)
    assert await visitor_of(here, request(kept)) is None
    other = await visitor_of(here, request(("x-user", "bob"), ("x-secret", SECRET), kept))
    assert (other.fresh, other.token == first.token) == (True, False)
    with_key = cookie(here, Session("i", "d" * 64))
    assert (await visitor_of(here, request(with_key))).caller.name == "key"
    assert (await visitor_of(here, request(*by_proxy, with_key))).caller.name == "ann"


def test_the_header_is_not_taken_without_a_secret(tmp_path):
    with pytest.raises(SettingsError, match="PROXY_SECRET_FILE together"):
        ConsoleSettings(proxy_header="x-user")
    short = tmp_path / "secret"
    settings = ConsoleSettings(proxy_header="x-user", proxy_secret_file=short)
    with pytest.raises(SettingsError, match="cannot be read"):
        TrustedProxy.of(settings)
    for content in (b"", b"s" * 31, b"s" * 40 + b"\nmore", "é".encode() * 40):
        short.write_bytes(content)
        with pytest.raises(SettingsError, match="on one line"):
            TrustedProxy.of(settings)
    short.write_text(f"{SECRET}\n")
    found = TrustedProxy.of(settings)
    assert found.caller(request(("x-user", "ann"), ("endocrine-proxy-secret", SECRET)), NAMES).scopes == {"read"}
