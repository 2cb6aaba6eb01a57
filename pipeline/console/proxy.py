"""Signing in by a header that a proxy in front of the gateway sets, once somebody has signed in with it.

Anybody who reaches the gateway can send a header. So it counts only beside a secret that the proxy shares with the
gateway; with another secret, without one, or with two values, the request is refused.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.keys import Scope
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.process.environment import SettingsError

LEAST_SECRET = 32
_MOST_SECRET = 4096
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_NAMES = "ENDOCRINE_CONSOLE_PROXY_SECRET_FILE"


@dataclass(frozen=True)
class TrustedProxy:
    """Which header names the user, which one proves that the proxy set it, and what users may do."""

    header: str
    secret_header: str
    secret: bytes
    scopes: frozenset[Scope]
    users: Mapping[str, Sequence[Scope]]

    @classmethod
    def of(cls, settings: ConsoleSettings) -> "TrustedProxy | None":
        """Return what settings ask for; None: nothing. Raises SettingsError."""
        if settings.proxy_header is None or settings.proxy_secret_file is None:
            return None
        return cls(
            settings.proxy_header,
            settings.proxy_secret_header,
            _secret(settings.proxy_secret_file),
            frozenset(settings.proxy_scopes),
            settings.proxy_users,
        )

    def caller(self, request: Request, names: NameTable) -> Caller | None:
        """Return who the proxy names; None where the request is not of the proxy. Raises Problem, 403.

        A request that has one of the two headers has both, each once, or is refused.
        """
        users, secrets = request.headers.getlist(self.header), request.headers.getlist(self.secret_header)
        if not users and not secrets:
            return None
        if len(users) != 1 or len(secrets) != 1:
            raise Problem("forbidden", f"headers {self.header} and {self.secret_header}: expected each once")
        if not hmac.compare_digest(secrets[0].encode("latin-1"), self.secret):
            raise Problem("forbidden", f"header {self.header}: not set by the proxy that this gateway trusts")
        if not _USER.fullmatch(users[0]):
            raise Problem(
                "forbidden",
                f"header {self.header}: {len(users[0])} characters; expected 1 to 128 letters, digits and . _ @ + -",
            )
        scopes = self.users.get(users[0])
        return Caller(users[0], self.scopes if scopes is None else frozenset(scopes), names=names)


def session_digest(user: str) -> str:
    """Return what a session of a proxy's user holds in the place of a key's digest: no key has it.

    >>> session_digest("ann")[:12]
    'proxy:49915e'
    """
    return f"proxy:{hashlib.sha256(user.encode()).hexdigest()}"


def _secret(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_SECRET + 1).strip()
    except OSError as error:
        raise SettingsError(f"{_NAMES}: {path}: cannot be read: {error.strerror}; expected a secret") from None
    if not LEAST_SECRET <= len(content) <= _MOST_SECRET or not content.isascii() or b"\n" in content:
        raise SettingsError(
            f"{_NAMES}: {path}: {len(content)} bytes; expected {LEAST_SECRET} to {_MOST_SECRET} characters on one line"
        )
    return content
