"""HTTP/1.1 as uvicorn serves it, with bounds that it lacks: bytes and seconds of headers that are not whole yet."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from endocrine.pipeline.gateway.problems import KINDS, Problem, Render, as_problem

_SLACK = 4096
"""Bytes beyond the bound before the connection is cut: up to it, the answer is a 431 with a body."""


def bounded(header_bytes: int, header_s: float, render: Render = as_problem) -> type[HttpToolsProtocol]:
    """Return the protocol class with these bounds. render: how a refusal is written, by as much of the path as has
    come.
    """

    class Bounded(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._pending = 0
            self._in_headers = True
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_headers:
                self._pending += len(data)
                if self._timer is None:
                    self._start_timer()
            super().data_received(data)
            if self._in_headers and self._pending > header_bytes + _SLACK and not self.transport.is_closing():
                self._refuse("headers_too_large", f"path and headers: expected at most {header_bytes} bytes")

        def on_message_begin(self) -> None:
            self._in_headers = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_headers, self._pending = False, 0
            self._end_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._in_headers = True

        def send_400_response(self, msg: str) -> None:
            if not self.transport.is_closing():
                self._refuse("bad_request", "not an HTTP/1.1 request")

        def _start_timer(self) -> None:
            self._timer = self.loop.call_later(header_s, self._too_slow)

        def _end_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            if self._in_headers and self.transport is not None and not self.transport.is_closing():
                self.transport.close()

        def _refuse(self, kind: str, detail: str) -> None:
            # Bytes of the last request on this connection: the path of one that has not begun is not known.
            path = getattr(self, "url", b"").decode("latin-1")
            answer = render(Problem(kind, detail), None, path)
            answer.headers["connection"] = "close"
            lines = [f"HTTP/1.1 {answer.status_code} {KINDS[kind].title}".encode("ascii")]
            lines += [name + b": " + text for name, text in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", b""]) + bytes(answer.body))
            self.transport.close()

    return Bounded
