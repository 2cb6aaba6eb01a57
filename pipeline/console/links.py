"""Addresses of pages: the query holds the filters, so a page can be kept, shared and gone back to."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

ROOT = "/console"


class Links:
    """Addresses made from the one that was asked for. query: its parameters."""

    def __init__(self, path: str, query: Sequence[tuple[str, str]]) -> None:
        self._path, self._query = path, dict(query)

    def with_(self, **changes: str | int | None) -> str:
        """Return this page with other parameters; None leaves one out.

        >>> Links("/console/turns", [("mode", "STRICT"), ("limit", "9")]).with_(mode=None, identity="a b")
        '/console/turns?limit=9&identity=a+b'
        """
        changed = {**self._query, **{name: None if one is None else str(one) for name, one in changes.items()}}
        query = urlencode({name: one for name, one in changed.items() if one})
        return f"{self._path}?{query}" if query else self._path

    def to(self, *parts: str, **query: str | int | None) -> str:
        """Return another page of the console; each part is one step of the path, whatever it holds.

        >>> Links("", []).to("identities", "a/b?", limit=3)
        '/console/identities/a%2Fb%3F?limit=3'
        """
        path = "/".join([ROOT, *(quote(part, safe="") for part in parts)])
        named = urlencode({name: one for name, one in query.items() if one not in (None, "")})
        return f"{path}?{named}" if named else path


def back_to(path: str) -> str:
    """Return a page of the console: nobody is sent to another site from here.

    >>> back_to("/console/turns?mode=CORE"), back_to("//evil.example/console"), back_to("/console/../v1")
    ('/console/turns?mode=CORE', '/console', '/console')
    """
    fits = path == ROOT or path.startswith((f"{ROOT}/", f"{ROOT}?"))
    return path if fits and ".." not in path and "\\" not in path and path.isprintable() else ROOT
