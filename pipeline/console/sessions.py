"""Who looks at the console: a signed cookie that names an API key, and the token that its forms must carry.

The cookie holds the SHA-256 of the key and a random id, never the key. A key that is revoked ends its sessions at the
next request. Cookies are signed under a key derived from the deployment's seal key, so every gateway takes them.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.problems import Problem

COOKIE = "endocrine_console"
TOKEN_FIELD = "csrf"
TOKEN_HEADER = "x-csrf-token"
MOST_COOKIE = 1024


@dataclass(frozen=True)
class Session:
    """One browser. digest: SHA-256 of the API key, hexadecimal; empty where no key is configured."""

    id: str
    digest: str = ""


@dataclass(frozen=True)
class Visitor:
    """Who looks, and in which session."""

    caller: Caller
    session: Session
    token: str
    """What the forms of this session carry."""
    fresh: bool = False
    """Whether the browser has no cookie of this session yet."""
    signed_in_here: bool = True
    """False: with a proxy, so there is nothing to sign out of here."""

    def may(self, scope: str) -> bool:
        """Return whether the key has a scope."""
        return scope in self.caller.scopes


class Sessions:
    """Signs and reads cookies. secret: at least 32 bytes, the same in every gateway. lasting_s: seconds they count."""

    def __init__(self, secret: bytes, lasting_s: int) -> None:
        self._secret = secret
        self._lasting_s = lasting_s
        self._cookies = URLSafeTimedSerializer([secret], salt="endocrine-console", signer_kwargs=_SIGNER)

    def begin(self, digest: str = "") -> Session:
        """Return a session of its own."""
        return Session(secrets.token_urlsafe(18), digest)

    def read(self, request: Request) -> Session | None:
        """Return the session that a request belongs to; None: there is none, or it has ended."""
        cookie = request.cookies.get(COOKIE, "")
        if not cookie or len(cookie) > MOST_COOKIE:
            return None
        try:
            found = self._cookies.loads(cookie, max_age=self._lasting_s)
            return Session(str(found["id"]), str(found["key"]))
        except (BadData, KeyError, TypeError):
            return None

    def token(self, session: Session) -> str:
        """Return what the forms of a session must carry: nobody else can make it."""
        message = f"csrf:{session.id}:{session.digest}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def keep(self, response: Response, request: Request, session: Session) -> None:
        """Keep a session in the browser; sent to these pages alone, never from another site."""
        signed = self._cookies.dumps({"id": session.id, "key": session.digest})
        cookie = signed if isinstance(signed, str) else signed.decode()
        response.set_cookie(COOKIE, cookie, max_age=self._lasting_s, path="/console", httponly=True, samesite="strict",
                            secure=request.url.scheme == "https")  # fmt: skip

    def end(self, response: Response) -> None:
        """Forget the session of a browser."""
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")

    def check(self, request: Request, session: Session, given: str) -> None:
        """Check that a page of this session sent the form. Raises Problem, 403."""
        if not hmac.compare_digest(self.token(session), given):
            raise Problem("forbidden", "the form is not of this session; load the page again")
        check_origin(request)


def check_origin(request: Request) -> None:
    """Check that no page of another site sent the request. Raises Problem, 403."""
    origin = request.headers.get("origin")
    another = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if another or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Problem("forbidden", "a page of another site sent the form")


_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
