"""Content encodings undone piece by piece, so that a small body that unpacks to a large one is noticed while it does.

We ask for no encoding. gzip and deflate are undone all the same, since proxies apply them; others are refused.
"""

import zlib
from collections.abc import Iterator

from endocrine.pipeline.connectors.model.failures import Malformed, StreamCut

_PIECE = 65_536
"""Bytes that are unpacked at once; whoever counts them stops between two pieces."""
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Decoding:
    """Undoes one encoding. Raises Malformed."""

    def __init__(self, encoding: str) -> None:
        """encoding: value of the header; "" or `identity`: none."""
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Malformed("it has a content encoding that was not asked for")
        self._gzip = name in ("gzip", "x-gzip")
        self._inflate = None if name in ("", "identity") else zlib.decompressobj(_GZIP if self._gzip else _ZLIB)
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what more bytes unpack to, in pieces of at most 64 KiB; of an encoded body whatever comes after its
        end.
        """
        if self._inflate is None:
            yield data
            return
        # What servers call deflate is one of two formats; the first byte of zlib's has 8 in its low half.
        if not self._began and data and not self._gzip and data[0] & 0x0F != 8:
            self._inflate = zlib.decompressobj(_RAW)
        self._began = self._began or bool(data)
        while data and self._inflate is not None:
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error:
                raise Malformed("its content encoding is broken") from None
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data if self._gzip else b""
                if data.strip(b"\0"):
                    self._inflate = zlib.decompressobj(_GZIP)  # a file of several members
                else:
                    data = b""

    def close(self) -> None:
        """End the bytes. Raises StreamCut where an encoded body has not ended."""
        if self._inflate is not None and self._began and not self._inflate.eof:
            raise StreamCut("its encoded body")
