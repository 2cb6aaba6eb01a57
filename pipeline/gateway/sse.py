"""Server-sent events: lines of an event, heartbeats while nothing comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import orjson
from starlette.responses import StreamingResponse

T = TypeVar("T")

HEARTBEAT_S = 15.0
_HEARTBEAT = b": heartbeat\n\n"


def event(name: str, data: Any, event_id: str | None = None) -> bytes:
    """Return one event; its data is JSON on one line.

    >>> event("closed", {"finish": "answered"})
    b'event: closed\\ndata: {"finish":"answered"}\\n\\n'
    """
    known = b"" if event_id is None else b"id: " + event_id.encode() + b"\n"
    return b"%bevent: %b\ndata: %b\n\n" % (known, name.encode(), orjson.dumps(data))


async def ticking(pieces: AsyncGenerator[T, None], every_s: float = HEARTBEAT_S) -> AsyncGenerator[T | None, None]:
    """Yield the pieces, and None whenever nothing came for so many seconds. Closed, it closes the pieces."""
    async with aclosing(pieces):
        coming: asyncio.Task[T] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(pieces))
                done, _ = await asyncio.wait([coming], timeout=every_s)
                if not done:
                    yield None
                    continue
                finished, coming = coming, None
                try:
                    piece = finished.result()
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            if coming is not None:
                coming.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await coming


async def _with_heartbeats(pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """A comment whenever nothing came for a while: proxies and clients see that the connection lives."""
    async with aclosing(ticking(pieces)) as ticks:
        async for piece in ticks:
            yield _HEARTBEAT if piece is None else piece


def stream(pieces: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> StreamingResponse:
    """Return a response of events."""
    common = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_with_heartbeats(pieces), 200, common | (headers or {}), "text/event-stream")
