"""Who calls, what they may do, and for which identity."""

import ipaddress
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from starlette.datastructures import URL
from starlette.requests import Request

from endocrine.pipeline.core.name_table import NameFault, NameTable
from endocrine.pipeline.gateway.keys import SCOPES, Key, KeyRing, Scope
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.rates import Rates

IDENTITY = "endocrine-identity"
"""Header that may name the identity; UTF-8."""
ALIASES = ("identity", "user_id", "user")
"""Names that a body may use for its identity, beside the record's own."""
LOCAL = "local"
"""Client name of callers without a key."""
_SPACE = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_OF_PROJECT = rf"[{_SPACE}]*[Pp][Rr][Oo][Jj][Ee][Cc][Tt]:"
_NAMES = rf"^(?!{_OF_PROJECT}|[{_SPACE}]*\$)[\s\S]*[^{_SPACE}]"
"""Something is left without what `str.strip` takes away."""
IDENTITY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": _NAMES}
"""What `checked_identity` accepts, as JSON Schema."""
SUBJECT_SCHEMA = {
    **IDENTITY_SCHEMA,
    "pattern": rf"^(?![{_SPACE}]*\$)(?!{_OF_PROJECT}[{_SPACE}]*$)(?!{_OF_PROJECT}[\s\S]{{201}})[\s\S]*[^{_SPACE}]",
}
"""The same of a subject: an identity, or `project:` and the id of a project, 1 to 200 characters."""


@dataclass(frozen=True)
class Caller:
    """One client, as its key says; without keys, somebody on this machine who may do everything."""

    name: str
    scopes: frozenset[Scope] = frozenset(SCOPES)
    enforce: bool = True
    identity_from: Literal["body", "header", "user", "fixed"] = "body"
    fixed_identity: str | None = None
    keyed: bool = field(default=True)
    names: NameTable = field(default_factory=NameTable, compare=False)
    """Every identity that the client names is resolved here."""

    def require(self, scope: Scope) -> None:
        """Check the scope. Raises Problem, 403, where the key lacks it."""
        if scope not in self.scopes:
            raise Problem("forbidden", f"the API key {self.name!r} lacks the scope {scope}")

    def identity(self, request: Request, body: dict[str, Any], name: str = "identity") -> str:
        """Return the canonical identity of a request. name: its field in the record. Raises Problem: 403 or 422."""
        named = _named_once(body, name)
        header = self.check_header(request)
        if self.identity_from == "fixed":
            if any(given is not None and not self.owns(given) for given in (named, header)):
                raise Problem(
                    "identity_not_allowed", f"{name}: the key {self.name!r} has an identity of its own", field=name
                )
            named = self.fixed_identity
        elif self.identity_from == "header":
            if header is None or (named is not None and self._resolved(named) != self._resolved(header)):
                raise Problem("invalid", f"header {IDENTITY}: expected the one identity of the request", field=name)
            named = header
        elif self.identity_from == "user":
            if header is not None:
                raise Problem("invalid", f"header {IDENTITY}: expected none; the key takes it from the body")
        else:
            named = header if named is None else named
        return checked_identity(self.names, named, name)

    def check_header(self, request: Request) -> str | None:
        """Return the header's identity as it was given. Raises Problem, 422: wrong where it is not used, too."""
        header = _header_text(request)
        if header is not None:
            checked_identity(self.names, header, f"header {IDENTITY}")
        return header

    def owns(self, named: Any) -> bool:
        """Return whether a name, an alias or another case of it too, is the identity that the key has of its own."""
        return bool(self._resolved(named) == self._resolved(self.fixed_identity))

    def _resolved(self, named: Any) -> Any:
        try:
            return self.names.identity(named) if isinstance(named, str) else named
        except NameFault:
            return named


def _named_once(body: dict[str, Any], name: str) -> Any:
    """The identity that a body names, under whichever of its names. Raises Problem, 422, where they differ."""
    found = [(one, body[one]) for one in dict.fromkeys((name, *ALIASES)) if body.get(one) is not None]
    for one, named in found[1:]:
        if named != found[0][1]:
            raise Problem("invalid", f"{one}: another identity than {found[0][0]}; expected one of them", field=one)
    return found[0][1] if found else None


def checked_identity(names: NameTable, named: Any, name: str = "identity") -> str:
    """Return the registered id of an identity that a caller named; an unregistered name is itself. Raises Problem,
    422.
    """
    if not isinstance(named, str):
        raise Problem("invalid", f"{name}: no text; expected 1 to 256 characters", field=name)
    try:
        return names.identity(named)
    except NameFault as fault:
        raise Problem("invalid", f"{name}: {fault}", field=name) from None


def checked_project(names: NameTable, named: Any, name: str = "project") -> str | None:
    """Return the same of a project; None where there is none, also for an empty name. Raises Problem, 422."""
    if named is None:
        return None
    if not isinstance(named, str):
        raise Problem("invalid", f"{name}: no text; expected 1 to 200 characters", field=name)
    try:
        return names.project(named)
    except NameFault as fault:
        raise Problem("invalid", f"{name}: {fault}", field=name) from None


class Doorkeeper:
    """Checks keys and rates. names: given to every caller."""

    def __init__(self, keys: KeyRing, rates: Rates, names: NameTable) -> None:
        self._keys = keys
        self._rates = rates
        self._names = names

    async def caller(self, request: Request, scope: Scope) -> Caller:
        """Return who calls, with this scope. Raises Problem: 401, 403 or 429."""
        caller = await self.known(request)
        caller.require(scope)
        return caller

    async def known(self, request: Request) -> Caller:
        """Return who calls, whatever the scopes. Raises Problem: 401, 403 or 429."""
        self._keys.refresh()
        if not self._keys.configured:
            _only_this_machine(request)
            return Caller(LOCAL, keyed=False, names=self._names)
        key = self._keys.find(_secret(request))
        if key is None:
            raise Problem("unauthorized", "no valid API key; expected `Authorization: Bearer KEY`", headers=_CHALLENGE)
        return await self._caller(key)

    @property
    def keyed(self) -> bool:
        """Return whether API keys are configured; without them everybody on this machine may do everything."""
        self._keys.refresh()
        return self._keys.configured

    async def of_digest(self, digest: str) -> Caller | None:
        """Return who has the key with this SHA-256; None: there is no such valid key. Raises Problem, 429."""
        key = self._keys.find_digest(digest)
        return None if key is None else await self._caller(key)

    async def _caller(self, key: Key) -> Caller:
        wait = await self._rates.take(key.name, key.rate, key.burst)
        if wait > 0:
            after = {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}
            raise Problem(
                "too_many_requests", f"the key {key.name!r} may ask {key.rate:g} times a second", headers=after
            )
        return Caller(
            key.name,
            frozenset(key.scopes),
            key.mode == "enforce",
            key.identity,
            key.fixed_identity,
            names=self._names,
        )


_CHALLENGE = {"www-authenticate": 'Bearer realm="endocrine"'}


def _secret(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key", "").strip()


def _only_this_machine(request: Request) -> None:
    """Raises Problem where a caller without a key is not on loopback, or a web page made a browser call."""
    host = request.client.host if request.client else ""
    if not is_loopback(host):
        raise Problem("not_loopback", "no API key is configured, so only this machine may call")
    if not is_loopback(_hostname(request.headers.get("host", "")) or request.url.hostname or ""):
        raise Problem("not_loopback", "host: expected a name of loopback; no API key is configured")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Problem("not_loopback", "a page of another origin calls; no API key is configured")


@lru_cache(maxsize=256)
def _hostname(host: str) -> str:
    """The name in a Host header, as Starlette reads it; empty where it has none."""
    scope = {"scheme": "http", "path": "/", "query_string": b"", "headers": [(b"host", host.encode("latin-1"))]}
    return URL(scope=scope).hostname or ""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _header_text(request: Request) -> str | None:
    given = request.headers.get(IDENTITY)
    if given is None:
        return None
    try:
        return given.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Problem("invalid", f"header {IDENTITY}: not UTF-8", field="identity") from None
