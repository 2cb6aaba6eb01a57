"""Server-sent events: lines of an event, heartbeats while nothing comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import orjson
from starlette.responses import StreamingResponse

HEARTBEAT_S = 15.0
_HEARTBEAT = b": heartbeat\n\n"


def event(name: str, data: Any, event_id: str | None = None) -> bytes:
    """One event; its data is JSON on one line.

    >>> event("closed", {"finish": "answered"})
    b'event: closed\\ndata: {"finish":"answered"}\\n\\n'
    """
    known = b"" if event_id is None else b"id: " + event_id.encode() + b"\n"
    return b"%bevent: %b\ndata: %b\n\n" % (known, name.encode(), orjson.dumps(data))


async def with_heartbeats(pieces: AsyncGenerator[bytes, None], every_s: float = HEARTBEAT_S) -> AsyncIterator[bytes]:
    """The pieces, with a comment whenever nothing came for a while: proxies and clients see that it lives."""
    async with aclosing(pieces):
        coming: asyncio.Task[bytes] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(pieces))
                done, _ = await asyncio.wait([coming], timeout=every_s)
                if not done:
                    yield _HEARTBEAT
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


def stream(pieces: AsyncGenerator[bytes, None], headers: dict[str, str] | None = None) -> StreamingResponse:
    """A response of events."""
    common = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(with_heartbeats(pieces), 200, common | (headers or {}), "text/event-stream")
