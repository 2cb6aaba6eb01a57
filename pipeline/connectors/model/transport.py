"""One HTTP request to the provider by its official client, the answer as bytes while they come.

The client makes the request: key, organization, headers, connections, proxies. It reads and tries nothing by itself:
bodies are bounded below it (`bounded`) and read by our readers, which take what other servers send; a redirect is not
followed, so that the conversation goes nowhere but where the settings say. None of its exceptions is shown.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import httpx2
import openai
from yarl import URL

from endocrine.pipeline.connectors.model.bounded import BROKEN, ERROR_BODY, BodyBounds, BoundedTransport, bounded_by
from endocrine.pipeline.connectors.model.failures import Interrupted
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.process.version import code_version

DEFAULT_BASE_URL = "https://api.openai.com/v1"
_IDLE_S = 15.0
"""Seconds that a connection is kept for the next call."""


@dataclass(frozen=True)
class Answer:
    """Status, headers, and the body."""

    status: int
    headers: Mapping[str, str]
    _response: httpx2.Response
    _silence_s: float

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Return the body, unpacked, within its bound. Raises Failed; Interrupted where the connection breaks."""
        if (body := self._response.extensions.get(ERROR_BODY)) is not None:
            yield body
            return
        try:
            async with aclosing(self._response.aiter_raw()) as pieces:
                async for piece in pieces:
                    yield piece
        except BROKEN as error:
            raise _interrupted(error, self._silence_s) from None


class Transport:
    """Keeps connections to one provider; used within one event loop."""

    def __init__(self, settings: ModelSettings) -> None:
        base = URL(settings.base_url or DEFAULT_BASE_URL)
        self._key = settings.key
        self._headers = {
            # A user in the URL is a proxy's own login.
            "Authorization": f"Bearer {self._key}" if base.user is None else _basic(base.user, base.password or ""),
            "User-Agent": f"endocrine/{code_version()}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "OpenAI-Organization": settings.organization or "",
            "OpenAI-Project": settings.project or "",
        }
        self._base = base.with_user(None)
        self._settings = settings
        self._client: openai.AsyncOpenAI | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @asynccontextmanager
    async def post(
        self, path: str, data: bytes, *, within_s: float, silence_s: float, bounds: BodyBounds
    ) -> AsyncIterator[Answer]:
        """Send a request. Raises Failed where there is no answer; the caller bounds the time of the whole."""
        connect_s = min(self._settings.connect_s, within_s)
        timeout = httpx2.Timeout(connect=connect_s, read=silence_s, write=within_s, pool=within_s)
        response = await self._answered(path, data, timeout, bounds)
        try:
            yield Answer(response.status_code, response.headers, response, silence_s)
        finally:
            await response.aclose()

    async def _answered(self, path: str, data: bytes, timeout: httpx2.Timeout, bounds: BodyBounds) -> httpx2.Response:
        try:
            with bounded_by(bounds):
                answer: Any = await self._opened().post(
                    self._url(path),
                    cast_to=httpx2.Response,
                    content=data,
                    # Not as defaults of the client: OPENAI_CUSTOM_HEADERS of the environment would go before them.
                    options={"headers": self._headers, "timeout": timeout, "follow_redirects": False},
                    stream=True,
                    stream_cls=openai.AsyncStream[Any],
                )
            return cast(httpx2.Response, answer)  # with this `cast_to` the client hands on what it was given
        except openai.APIStatusError as error:
            return error.response
        except openai.APIConnectionError as error:
            raise _interrupted(error.__cause__, timeout.read) from None
        except (openai.OpenAIError, httpx2.InvalidURL, ImportError, ValueError, OSError) as error:
            # A key that no header can hold, an invalid URL, a proxy of another kind.
            raise _interrupted(error, timeout.read, retry=isinstance(error, OSError)) from None

    def _opened(self) -> openai.AsyncOpenAI:
        if self._client is None:
            most = self._settings.concurrency
            # trust_env would read `.netrc` and `ALL_PROXY` for this machine too.
            inner = httpx2.AsyncHTTPTransport(
                verify=ssl.create_default_context(),
                trust_env=False,
                limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=_IDLE_S),
                proxy=_proxy(self._base),
            )
            self._client = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=str(self._base),
                max_retries=0,
                http_client=httpx2.AsyncClient(
                    transport=BoundedTransport(inner), trust_env=False, follow_redirects=False
                ),
            )
        return self._client

    def _url(self, path: str) -> str:
        """The whole URL: the client would put a path behind the query of its base."""
        return str(self._base.joinpath(*path.split("/")).with_query(self._base.query))


def _basic(user: str, password: str) -> str:
    request = httpx2.Request("POST", "http://localhost")
    return next(httpx2.BasicAuth(user, password).auth_flow(request)).headers["Authorization"]


def _interrupted(error: BaseException | None, silence_s: float | None, *, retry: bool = True) -> Interrupted:
    """What a fault of the connection means. Its class says what happened; messages may hold URLs and headers."""
    if isinstance(error, httpx2.ConnectTimeout):
        return Interrupted("no_connection", "the connection failed: nobody answered in time", retry=True)
    if isinstance(error, httpx2.TimeoutException):
        return Interrupted("stalled", f"nothing came for {silence_s:.1f} s", retry=True, timeout=True)
    return Interrupted("no_connection", f"the connection failed: {type(error).__name__}", retry=retry)


def _proxy(base: URL) -> str | None:
    """The proxy that the environment names for a URL (HTTPS_PROXY, NO_PROXY, ...); never for this machine itself."""
    host = base.host or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or proxy_bypass(host):
        return None
    return getproxies().get(base.scheme)
