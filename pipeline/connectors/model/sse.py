"""Server-sent events out of bytes, however they are cut: CR, LF and CRLF, comments, fields without a space. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from endocrine.pipeline.connectors.model.failures import Malformed, bytes_bound

_END = re.compile(rb"\r\n|\r|\n")


class Event(NamedTuple):
    """One event."""

    name: str
    """Of its `event` field; "error" too where data came in a field `error` (old llama.cpp)."""
    data: tuple[str, ...]
    """Its data, line by line."""


class Events:
    """Feed bytes, get the events that they complete; `close` gives what the end completes."""

    def __init__(self, event_bytes: int) -> None:
        self._most = event_bytes
        self._rest = bytearray()
        self._searched = 0
        """Bytes of the rest that hold no end of a line."""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Feed more bytes. Raises TooLarge, Malformed."""
        self._rest += data
        begin = 0
        while end := _END.search(self._rest, max(begin, self._searched)):
            if end.group() == b"\r" and end.end() == len(self._rest):
                break  # the LF of a CRLF may follow
            line = bytes(self._rest[begin : end.start()])
            begin = self._searched = end.end()
            yield from self._line(line)
        del self._rest[:begin]
        self._searched = max(0, len(self._rest) - 1)
        self._bound(len(self._rest))

    def close(self) -> Iterator[Event]:
        """End the stream: a last line and a last event without theirs count."""
        if self._rest:
            yield from self._line(bytes(self._rest).rstrip(b"\r"))
            self._rest.clear()
        yield from self._dispatch()

    def _line(self, line: bytes) -> Iterator[Event]:
        if not line:
            yield from self._dispatch()
            return
        self._size += len(line)
        self._bound(0)
        name, _, value = line.partition(b":")
        if name not in (b"data", b"event", b"error"):
            return  # a comment, an id, a retry
        try:
            text = value.removeprefix(b" ").decode()
        except UnicodeDecodeError:
            raise Malformed("it is not UTF-8") from None
        if name == b"event":
            self._name = text.strip()
        else:
            self._data.append(text)
            self._name = "error" if name == b"error" else self._name

    def _dispatch(self) -> Iterator[Event]:
        name, data = self._name, tuple(self._data)
        self._name, self._data, self._size = "", [], 0
        if data:
            yield Event(name, data)

    def _bound(self, waiting: int) -> None:
        if self._size + waiting > self._most:
            raise bytes_bound(self._most, "event_bytes")
