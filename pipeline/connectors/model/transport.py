"""One HTTP request to the provider, its answer as bytes while they come.

Our own on aiohttp, not the provider's client: that reads bodies whole and unbounded, and its exceptions quote them.
Redirects are not followed, so that the conversation goes nowhere but where the settings say.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from pipeline.connectors.model.decoding import Decoding
from pipeline.connectors.model.failures import Failed, TooLarge
from pipeline.connectors.model.settings import ModelSettings
from pipeline.version import code_version

DEFAULT_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Answer:
    """Status, headers, and the body."""

    status: int
    headers: Mapping[str, str]
    _response: aiohttp.ClientResponse

    async def pieces(self, most_bytes: int) -> AsyncIterator[bytes]:
        """The body, unpacked; of at most `most_bytes` as sent. Raises Failed, and what aiohttp raises where the
        connection breaks."""
        decoding, sent = Decoding(self.headers.get("content-encoding", "")), 0
        async for data in self._response.content.iter_any():
            sent += len(data)
            if sent > most_bytes:
                raise TooLarge(f"has more than {most_bytes} bytes")
            for piece in decoding.feed(data):
                yield piece
        decoding.close()


class Transport:
    """Keeps connections to one provider; used within one event loop."""

    def __init__(self, settings: ModelSettings) -> None:
        assert settings.api_key is not None
        base = URL(settings.base_url or DEFAULT_BASE_URL)
        headers = {
            "Authorization": f"Bearer {settings.api_key.get_secret_value().strip()}",
            "User-Agent": f"endocrine/{code_version()}",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if base.user is not None:  # a proxy's own login, in the URL
            headers["Authorization"] = aiohttp.encode_basic_auth(base.user, base.password or "")
        for name, value in (("OpenAI-Organization", settings.organization), ("OpenAI-Project", settings.project)):
            if value:
                headers[name] = value
        self._base = base.with_user(None)
        self._proxy = _proxy(self._base)
        self._headers = headers
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def post(self, path: str, data: bytes, *, within_s: float, silence_s: float) -> AsyncIterator[Answer]:
        """Send a request. Raises Failed where there is no answer, and what goes wrong within the block as Failed."""
        timeout = aiohttp.ClientTimeout(
            total=within_s, sock_connect=min(self._settings.connect_s, within_s), sock_read=silence_s
        )
        try:
            async with self._opened().post(
                self._url(path), data=data, timeout=timeout, allow_redirects=False, proxy=self._proxy
            ) as response:
                yield Answer(response.status, response.headers, response)
        except aiohttp.ConnectionTimeoutError:
            raise Failed("no_connection", "the connection failed: nobody answered in time", retry=True) from None
        except aiohttp.SocketTimeoutError:
            raise Failed("stalled", f"nothing came for {silence_s:.1f} s", retry=True, timeout=True) from None
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            # The class says what happened; messages may hold URLs and headers.
            raise Failed("no_connection", f"the connection failed: {type(error).__name__}", retry=True) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.concurrency),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _url(self, path: str) -> URL:
        return self._base.joinpath(*path.split("/")).with_query(self._base.query)


def _proxy(base: URL) -> str | None:
    """The proxy that the environment names for a URL (HTTPS_PROXY, NO_PROXY, ...); never for this machine itself.

    aiohttp's own way (trust_env) would also read `.netrc`, and fail where that and our key say different things.
    """
    host = base.host or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or proxy_bypass(host):
        return None
    return getproxies().get(base.scheme)
