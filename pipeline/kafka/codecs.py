"""Decompression within a bound: a few kilobytes can decompress to gigabytes.

As tolerant as Kafka's broker, which takes a batch that its own readers can decompress: bytes after the end of a gzip
or LZ4 stream do not matter, nor up to three after a snappy one, nor an LZ4 content checksum.
"""

import mmap
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import cramjam

NAMES: Mapping[int, str] = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""Codecs by the number in a batch's attributes."""
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_BLOCK_BYTES = {4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22}
_KEPT_BYTES = 8 << 20
"""A buffer that was filled further is given back."""
_local = threading.local()


class Undecodable(Exception):
    """A payload that cannot be decompressed within the bound. The message is the same wherever it is read."""


def decompress(codec: int, payload: bytes, limit: int) -> bytes:
    """Return the payload decompressed. limit: bytes that it may have then. Raises Undecodable."""
    decode = _DECODERS.get(codec)
    if decode is None:
        raise Undecodable(f"compression codec {codec} is unknown")
    try:
        return decode(payload, limit)
    except _TooLarge:
        raise Undecodable(f"its {NAMES[codec]} payload decompresses to more than {limit} bytes") from None
    except Exception:  # what each library raises is its own, and changes with its version
        raise Undecodable(f"its {NAMES[codec]} payload is corrupt") from None


class _TooLarge(Exception):
    pass


def _gzip(payload: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size, rest = 0, payload
    while rest and (
        rest[:2] == b"\x1f\x8b" or not parts
    ):  # members may follow each other; what else follows is no data
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(rest, limit - size + 1))
        size += len(parts[-1])
        if size > limit:
            raise _TooLarge
        if not member.eof:
            raise ValueError("cut off")
        rest = member.unused_data
    return b"".join(parts)


def _snappy(payload: bytes, limit: int) -> bytes:
    if not payload.startswith(_XERIAL):
        return _snappy_block(payload, limit)
    parts: list[bytes] = []
    size, at = 0, _XERIAL_HEADER_BYTES
    while at + 4 <= len(payload):
        if payload[at : at + 4] == _XERIAL[:4]:  # another stream
            at += _XERIAL_HEADER_BYTES
            continue
        end = at + 4 + int.from_bytes(payload[at : at + 4], "big")
        if end > len(payload):
            raise ValueError("cut off")
        parts.append(_snappy_block(payload[at + 4 : end], limit - size))
        size, at = size + len(parts[-1]), end
    return b"".join(parts)


def _snappy_block(block: bytes, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > limit:
        raise _TooLarge
    return bytes(cramjam.snappy.decompress_raw(block))


def _lz4(payload: bytes, limit: int) -> bytes:
    try:
        return _bounded(cramjam.lz4.decompress_into, payload, limit)
    except _TooLarge:
        raise
    except Exception:
        return _lz4_blocks(payload, limit)


def _lz4_blocks(payload: bytes, limit: int) -> bytes:
    """One frame of independent blocks, read as Kafka reads it: up to its end code, without its checksums."""
    if payload[:4] != _LZ4_MAGIC or not payload[4] & 0x20 or payload[5] >> 4 not in _LZ4_BLOCK_BYTES:
        raise ValueError("no frame of independent blocks")
    checked, sized = payload[4] & 0x10, payload[4] & 0x08
    plain = bytearray(_LZ4_BLOCK_BYTES[payload[5] >> 4])
    at = 7 + (8 if sized else 0)
    parts: list[bytes] = []
    total = 0
    while size := int.from_bytes(payload[at : at + 4], "little"):
        stored, size = size >> 31, size & 0x7FFFFFFF
        block = payload[at + 4 : at + 4 + size]
        if len(block) != size:
            raise ValueError("cut off")
        parts.append(block if stored else bytes(plain[: cramjam.lz4.decompress_block_into(block, plain)]))
        total += len(parts[-1])
        if total > limit:
            raise _TooLarge
        at += 4 + size + (4 if checked else 0)
    if at + 4 > len(payload):
        raise ValueError("no end code")
    return b"".join(parts)


def _zstd(payload: bytes, limit: int) -> bytes:
    return _bounded(cramjam.zstd.decompress_into, payload, limit)


def _bounded(decompress_into: Callable[[Any, Any], int], payload: bytes, limit: int) -> bytes:
    """Into a buffer of the bound's size, of which only what is written takes memory; one per thread."""
    temp_dir = getattr(_local, "temp_dir", None)
    if temp_dir is None or len(temp_dir) != limit + 1:
        temp_dir = _local.temp_dir = mmap.mmap(-1, limit + 1)
    try:
        size = decompress_into(payload, temp_dir)
    except Exception as error:
        _local.temp_dir = None
        if "whole buffer" in str(error):
            raise _TooLarge from None
        raise
    if size > limit:
        _local.temp_dir = None
        raise _TooLarge
    found = temp_dir[:size]
    if size > _KEPT_BYTES:
        _local.temp_dir = None
    return bytes(found)


_DECODERS: Mapping[int, Callable[[bytes, int], bytes]] = {1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}
