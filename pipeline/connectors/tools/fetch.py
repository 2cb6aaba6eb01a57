"""Fetching a page that a model named, without letting it reach what is not public.

1. The address: http or https, no user name, no number in disguise.
2. The name is resolved; every address it has must be public.
3. The connection goes to one of these addresses, and the socket is checked once more: a name is not resolved again
   (DNS rebinding).
4. A redirect is an address like the first: at most 3, each from 1.
5. Only text, at most 2 MB, within 10 s in all. It must come uncompressed, which is how it is asked for: a page that
   unpacks to a thousand times its size is never unpacked. Its header lines are bounded in length and number (aiohttp).
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from endocrine.pipeline.connectors.tools.addresses import is_address, is_public, odd_number
from endocrine.pipeline.connectors.tools.handler import ToolError

MAX_BYTES = 2_000_000
MAX_REDIRECTS = 3
TOTAL_S = 10.0
MAX_URL_CHARS = 2048
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-2", "iso-8859-15", "latin-1",
                       "windows-1250", "windows-1251", "windows-1252", "koi8-r", "utf-16", "shift_jis", "euc-jp",
                       "gbk", "gb18030", "big5", "euc-kr"})  # fmt: skip
"""What a page may say it is written in; else UTF-8. Python's codecs are more than charsets, some of them slow."""
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,80}")
_CHARSET = re.compile(r";\s{0,8}charset\s{0,8}=\s{0,8}[\"']?([a-z0-9._:-]{1,40})")
NAME_THREADS = 8
"""Names resolved at once. Threads of their own: a name whose servers never answer holds one for as long as the system's
resolver waits, and retrieval and the reading of pages must not wait for it."""
_names = ThreadPoolExecutor(NAME_THREADS, thread_name_prefix="resolve")
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Page:
    """What was fetched."""

    url: str
    """The last address, after redirects."""
    media_type: str
    text: str
    cut: bool
    """It was longer than MAX_BYTES."""


async def system_resolve(host: str, port: int) -> list[str]:
    """Return the numeric addresses of a name, as the system's resolver has them."""
    asked = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_names, asked)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """Fetches pages. resolve and allowed are for tests alone: with their defaults nothing private is reached."""

    def __init__(
        self, *, resolve: Resolve = system_resolve, allowed: Callable[[str], bool] = is_public, total_s: float = TOTAL_S
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._total_s = total_s

    async def fetch(self, address: str) -> Page:
        """Fetch a page. Raises ToolError (what is refused or fails, by its reason) and TimeoutError."""
        url = checked_url(address)
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self._resolve, self._allowed),
            socket_factory=self._socket,
            use_dns_cache=False,
            force_close=True,
        )
        try:
            async with (
                asyncio.timeout(self._total_s),
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                    headers={"Accept": "text/html, text/*", "Accept-Encoding": "identity", "User-Agent": "endocrine"},
                ) as session,
            ):
                for _ in range(MAX_REDIRECTS + 1):
                    async with session.get(url, allow_redirects=False) as response:
                        if response.status not in (301, 302, 303, 307, 308):
                            return await _read(response)
                        url = _next(url, response.headers.get("Location"))
                raise ToolError(f"more than {MAX_REDIRECTS} redirects")
        except aiohttp.ClientError as error:
            refused = _refusal_within(error)
            raise ToolError(str(refused) if refused else f"not reachable ({type(error).__name__})") from None

    def _socket(self, entry: Any) -> socket.socket:
        """The last look, at the very address that is connected to."""
        family, kind, protocol, _, where = entry
        if not self._allowed(str(where[0])):
            raise _Refused("the address is not public")
        return socket.socket(family=family, type=kind, proto=protocol)


class _Refused(OSError):
    """An address that may not be reached. An OSError, since that is what passes through the client."""


class _Checked(AbstractResolver):
    """Names to addresses, all of them public; one private address refuses the name."""

    def __init__(self, resolve: Resolve, allowed: Callable[[str], bool]) -> None:
        self._resolve = resolve
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise _Refused("the name does not resolve") from None
        if not found or not all(self._allowed(address) for address in found):
            raise _Refused("the name leads to an address that is not public")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Do nothing: nothing is held."""


def checked_url(address: str) -> URL:
    """Check a URL: step 1. Raises ToolError."""
    if len(address) > MAX_URL_CHARS:
        raise ToolError(f"the address has {len(address)} characters, expected at most {MAX_URL_CHARS}")
    if any(ord(char) <= 32 or ord(char) == 127 or char == "\\" for char in address):
        raise ToolError("the address holds a space, a control character or a backslash")
    try:
        url = URL(address)
        host, port = url.host, url.port
    except (ValueError, UnicodeError):
        raise ToolError("this is no web address") from None
    if url.scheme not in ("http", "https"):
        raise ToolError("only http and https addresses are opened")
    authority = re.split(r"[/?#]", address.partition("://")[2], maxsplit=1)[0]
    if url.user is not None or url.password is not None or "@" in authority:
        raise ToolError("an address with a user name is not opened")
    if not host or not port:
        raise ToolError("the address names no host")
    if odd_number(host) or host.endswith((".localhost", ".local", ".internal")) or host == "localhost":
        raise ToolError("the host is not a public name or address")
    if not is_address(host) and "." not in host.rstrip("."):
        raise ToolError("the host is not a public name or address")
    return url


def _next(url: URL, location: str | None) -> URL:
    if not location:
        raise ToolError("a redirect that names no address")
    if len(location) > MAX_URL_CHARS:
        raise ToolError("a redirect to an address that is too long")
    try:
        return checked_url(str(url.join(URL(location))))
    except ValueError:
        raise ToolError("a redirect to what is no web address") from None


async def _read(response: aiohttp.ClientResponse) -> Page:
    if not 200 <= response.status < 300:
        raise ToolError(f"the server answered {response.status}")
    media_type, charset = content_type(response.headers.get("Content-Type", ""))
    if not (media_type.startswith("text/") or media_type == "application/xhtml+xml"):
        raise ToolError(f"not a text page but {media_type}")
    if encoded(response):
        raise ToolError("the server sent a compressed page, which was not asked for")
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_BYTES:
            break
    text = bytes(body[:MAX_BYTES]).decode(charset if charset in _CHARSETS else "utf-8", "replace")
    return Page(str(response.url), media_type, text, len(body) > MAX_BYTES)


def content_type(header: str) -> tuple[str, str]:
    """Return the media type and charset of a Content-Type, in lower case; what cannot be read is `unknown` and utf-8.

    Not by the standard library's parser, which takes comments within comments and continued parameters: strangers write
    this line.

    >>> content_type('Text/HTML; Charset="KOI8-R"'), content_type("(" * 4000)
    (('text/html', 'koi8-r'), ('unknown', 'utf-8'))
    """
    lowered = header.lower()
    media_type = lowered.partition(";")[0].strip()
    charset = _CHARSET.search(lowered)
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else "unknown", charset[1] if charset else "utf-8"


def encoded(response: aiohttp.ClientResponse) -> bool:
    """Return whether an answer comes compressed, or otherwise encoded. Reading must not have begun."""
    return any(
        coding.strip().lower() not in ("", "identity")
        for line in response.headers.getall("Content-Encoding", ())
        for coding in line.split(",")
    )


def _refusal_within(error: BaseException | None) -> _Refused | None:
    """Our own refusal among the causes of a client's error."""
    for _ in range(8):
        if error is None or isinstance(error, _Refused):
            return error
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, _Refused) else (error.__cause__ or error.__context__)
    return None
