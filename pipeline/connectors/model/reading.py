"""Bytes of a reply to its outcome, while they come: a whole body or a stream, whichever the server sends. Pure.

A server may answer with a stream where none was asked for, and with a plain body (an error, mostly) where one was: the
first byte tells them apart, not the content type.
"""

from typing import Any, Literal

from endocrine.agents.conversation.capabilities import ReplyBounds
from endocrine.pipeline.connectors.model.chat_replies import ChatReply
from endocrine.pipeline.connectors.model.failures import Hidden, Malformed, StreamCut, bytes_bound
from endocrine.pipeline.connectors.model.json_values import parsed
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of
from endocrine.pipeline.connectors.model.response_replies import ResponsesReply
from endocrine.pipeline.connectors.model.sse import Event, Events

_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry", b"error", b":")
"""What a stream of events may begin with."""
_FIELD_BYTES = 6
"""Enough to tell."""
_DONE = "[DONE]"
_ALIVE = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
"""Events, or their data, by which proxies keep a connection open: nothing of the reply."""


class ReplyReader:
    """Reads one reply. `feed` its bytes until they end or `done`, then `close`. All of them raise Failed.

    hidden: words that errors may not show, as they occur in what was sent.
    """

    def __init__(self, api: Literal["chat", "responses"], bounds: ReplyBounds, hidden: Hidden) -> None:
        self._reply = ChatReply(bounds, hidden) if api == "chat" else ResponsesReply(bounds, hidden)
        self._bounds = bounds
        self._hidden = hidden
        self._begin = b""
        self._body: bytearray | None = None
        self._events: Events | None = None
        self._bytes = 0

    @property
    def done(self) -> bool:
        """Whether nothing more needs to be read."""
        return self._reply.done

    @property
    def finished(self) -> bool:
        """Whether a stream may end here."""
        return self._events is not None and self._reply.finished

    @property
    def so_far(self) -> str:
        """Text of the answer so far, of a stream; reasoning that the model writes into it included."""
        return self._reply.so_far

    def feed(self, data: bytes) -> None:
        """Feed more bytes."""
        self._bytes += len(data)
        if self._events is None and self._body is None:
            data = self._sniffed(data)
        if self._body is not None:
            self._bound(self._bounds.body_bytes, "body_bytes")
            self._body += data
        elif self._events is not None:
            self._bound(self._bounds.stream_bytes, "stream_bytes")
            for event in self._events.feed(data):
                self._event(event)
        else:
            self._bound(self._bounds.body_bytes, "body_bytes")

    def close(self) -> Outcome:
        """End the bytes and return the outcome."""
        if self._events is not None:
            if not self._reply.done:
                for event in self._events.close():
                    self._event(event, last=True)
            return self._reply.outcome()
        body = bytes(self._body or self._begin).strip(_BLANKS)
        if not body:
            raise Malformed("it is empty")
        return self._reply.whole(parsed(body))

    def _sniffed(self, data: bytes) -> bytes:
        """Decide what it is; the bytes to go on with."""
        begin = (self._begin + data).removeprefix(_BOM).lstrip(_BLANKS)
        if _BOM.startswith(begin) or (len(begin) < _FIELD_BYTES and any(one.startswith(begin) for one in _FIELDS)):
            self._begin = begin
            return b""
        self._begin = b""
        if begin.startswith(_FIELDS):
            self._events = Events(self._bounds.event_bytes)
        else:
            self._body = bytearray()
        return begin

    def _event(self, event: Event, last: bool = False) -> None:
        """Take in an event; after the mark of the end nothing counts."""
        if self._reply.done:
            return
        whole = "\n".join(event.data)
        if event.name.lower() in _ALIVE or whole.strip().lower() in _ALIVE:
            return
        if whole.strip().upper() == _DONE:
            self._reply.done = True
            return
        for value in self._values(event, whole, last):
            if self._reply.done:
                return
            if value == _DONE:
                self._reply.done = True
            elif event.name == "error" and error_in(value) is None:
                raise failure_of(value, self._hidden)
            else:
                self._reply.event(event.name, value)

    def _values(self, event: Event, whole: str, last: bool) -> list[Any]:
        """The JSON of an event; of each line by itself where a proxy left out the empty lines between events."""
        if not whole.strip():
            return []
        try:
            return [parsed(whole)]
        except Malformed:
            if event.name == "error":
                return [None]
            if len(event.data) == 1:
                if last and not self._reply.finished:
                    raise StreamCut from None
                raise Malformed("an event is not JSON") from None
        return [_DONE if line.strip() == _DONE else parsed(line) for line in event.data if line.strip()]

    def _bound(self, most: int, name: str) -> None:
        if self._bytes > most:
            raise bytes_bound(most, name)
