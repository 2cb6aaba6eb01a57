"""A tool that another service runs, behind HTTP: timeout, retry with jittered backoff, breaker.

`POST` of `{"call_id", "audit_id", "identity", "tool", "arguments"}` with `Idempotency-Key: <audit_id>/<call_id>`; the
answer is 200 with any JSON value of at most 1 MB, the output. It must come uncompressed, which is how it is asked for.
Redirects are not followed. Retried (idempotent tools alone): no connection, a connection that broke, 429, 500 and
above.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import stamina

from endocrine.pipeline.connectors.model.breaker import Breaker
from endocrine.pipeline.connectors.tools.fetch import encoded
from endocrine.pipeline.connectors.tools.handler import Answer, Call, Degraded, ToolError

MAX_BYTES = 1_000_000
ATTEMPTS = 3
_SHARE = 0.9
"""Of a call's time, for one request: it ends, and is counted, before the call is cancelled from outside."""


class Unavailable(ToolError):
    """The service may do better in a moment."""


class External:
    """Calls one service. url: from the deployment's settings, never from a record."""

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        failures: int = 5,
        open_s: float = 30.0,
        wait_s: float = 0.2,
    ) -> None:
        self._url = url
        self._breaker = Breaker(failures, open_s, clock)
        self._wait_s = wait_s
        self._session: aiohttp.ClientSession | None = None

    async def run(self, call: Call) -> Answer:
        """Run the call. Raises ToolError, Degraded, TimeoutError."""
        attempts = ATTEMPTS if call.idempotent else 1
        async for attempt in stamina.retry_context(
            on=Unavailable, attempts=attempts, timeout=call.timeout_s, wait_initial=self._wait_s, wait_max=2.0
        ):
            with attempt:
                return Answer(await self._guarded(call))
        raise AssertionError("a retry ends with an answer or an error")

    async def _guarded(self, call: Call) -> Any:
        if not self._breaker.admit():
            raise Degraded("the service failed several times and is left alone for a moment")
        try:
            output = await self._ask(call)
        except (Unavailable, TimeoutError):
            self._breaker.failed()
            raise
        except ToolError:
            self._breaker.succeeded()  # it answers, even if with a refusal
            raise
        except BaseException:
            self._breaker.gave_up()
            raise
        self._breaker.succeeded()
        return output

    async def _ask(self, call: Call) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            )
        body = {
            "call_id": call.call_id,
            "audit_id": call.audit_id,
            "identity": call.identity,
            "tool": call.tool,
            "arguments": call.arguments,
        }
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps(body),
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": quote(f"{call.audit_id}/{call.call_id}"),
                },
                timeout=aiohttp.ClientTimeout(total=_SHARE * call.timeout_s),
                allow_redirects=False,
            ) as response:
                if response.status == 429 or response.status >= 500:
                    raise Unavailable(f"the service answered {response.status}")
                if response.status != 200:
                    raise ToolError(f"the service answered {response.status}")
                if encoded(response):
                    raise ToolError("the service sent a compressed answer, which was not asked for")
                data = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    data += chunk
                    if len(data) > MAX_BYTES:
                        raise ToolError(f"the service answered with more than {MAX_BYTES} bytes")
        except aiohttp.ClientError as error:
            raise Unavailable(f"the service was not reached ({type(error).__name__})") from None
        try:
            return orjson.loads(bytes(data))
        except orjson.JSONDecodeError:
            raise ToolError("the service answered with what is no JSON") from None

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()
