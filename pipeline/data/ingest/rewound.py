"""Looking at the beginning of a stream, and reading it whole afterwards."""

from typing import BinaryIO

BOM = b"\xef\xbb\xbf"
"""Byte order mark of UTF-8."""


class Rewound:
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; all there are where it is negative."""
        if size < 0:
            head, self._head = self._head, b""
            return head + self._stream.read()
        head, self._head = self._head[:size], self._head[size:]
        return head or self._stream.read(size)

    def readline(self, size: int = -1) -> bytes:
        """Read a line with its end, at most `size` bytes of it where that is not negative."""
        if not self._head:
            return self._stream.readline(size)
        end = self._head.find(b"\n") + 1 or len(self._head)
        end = end if size < 0 else min(end, size)
        line, self._head = self._head[:end], self._head[end:]
        if line.endswith(b"\n") or len(line) == size:
            return line
        return line + self._stream.readline(size - len(line) if size >= 0 else -1)


def read_head(stream: BinaryIO, size: int) -> bytes:
    """Read the first `size` bytes, or all there are; a pipe gives them piece by piece."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
