"""HTTP below the provider's client: what goes out is named here, and what is read is bounded while it is read.

The client reads the body of an error whole, takes its text apart by what its headers say of it (a charset may be a
decompressor), puts it into an exception, and logs headers and URLs. Here it is given the status, the two headers that
say how long to wait, and the body of a success; the body of an error is read here and kept apart from it.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import httpx2

from endocrine.pipeline.connectors.model.decoding import Decoding
from endocrine.pipeline.connectors.model.failures import Failed, TooLarge

ERROR_BODY = "endocrine.error_body"
"""The extension of a response that holds the body of an error; empty where that could not be read within its bound."""
BROKEN = (httpx2.RequestError, OSError)
"""What a connection that breaks or falls silent raises."""
_SENT = frozenset(
    b"host content-length content-type accept accept-encoding authorization user-agent openai-organization"
    b" openai-project".split()
)
_KEPT = ("retry-after", "retry-after-ms")
_LOGGERS = ("openai", "httpx2", "httpcore2")


class BodyBounds(NamedTuple):
    """Bytes of a body, each counted twice: as sent, and as unpacked."""

    body: int
    error: int


_bounds: ContextVar[BodyBounds] = ContextVar("bounds of the bodies of a call")


@contextmanager
def bounded_by(bounds: BodyBounds) -> Iterator[None]:
    """Hold the answers to what is sent in this block within these bounds: the client passes no such thing on."""
    token = _bounds.set(bounds)
    try:
        yield
    finally:
        _bounds.reset(token)


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Passes requests to another transport, within `bounded_by`."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        for name in _LOGGERS:  # they log URLs, headers and reason phrases, at INFO and DEBUG
            logging.getLogger(name).setLevel(logging.WARNING)
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer. Raises what the inner transport raises; the body of a success raises that and Failed."""
        bounds = _bounds.get()
        # The client adds what it is asked for by the environment, and words on this machine.
        sent = [(name, value) for name, value in request.headers.raw if name.lower() in _SENT and value]
        request.headers = httpx2.Headers(sent)
        answer = await self._inner.handle_async_request(request)
        headers = [(name, answer.headers[name]) for name in _KEPT if name in answer.headers]
        if answer.is_success:
            return httpx2.Response(answer.status_code, headers=headers, stream=_Body(answer, bounds.body))
        extensions = {ERROR_BODY: await _error_body(answer, bounds.error)}
        return httpx2.Response(answer.status_code, headers=headers, content=b"", extensions=extensions)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Body(httpx2.AsyncByteStream):
    """A body, unpacked, of at most so many bytes."""

    def __init__(self, answer: httpx2.Response, most_bytes: int) -> None:
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        self._encoding = answer.headers.get("content-encoding", "")
        self._stream = answer.stream
        self._most = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decoding, sent, unpacked = Decoding(self._encoding), 0, 0
        async for data in self._stream:
            sent += len(data)
            self._bound(sent)
            for piece in decoding.feed(data):
                unpacked += len(piece)
                self._bound(unpacked)
                yield piece
        decoding.close()

    def _bound(self, size: int) -> None:
        if size > self._most:
            raise TooLarge(f"has more than {self._most} bytes")

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _error_body(answer: httpx2.Response, most_bytes: int) -> bytes:
    """The body of an error; nothing where it cannot be read: then the status says enough."""
    body, read = _Body(answer, most_bytes), bytearray()
    async with aclosing(body):
        try:
            async for piece in body:
                read += piece
        except (Failed, *BROKEN):
            return b""
    return bytes(read)
