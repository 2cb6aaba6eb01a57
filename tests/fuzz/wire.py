"""Kafka's protocol by hand, as far as a hostile client needs it: any bytes into a batch, any bytes out of a log.

A library refuses to write what others may send (header names that are not UTF-8, lengths that lie), and fails on
reading it. Record batches are of version 2, the only one that Kafka 4 takes.
"""

import asyncio
import io
import itertools
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import codec
from aiokafka.protocol.fetch import FetchRequest_v4
from aiokafka.protocol.offset import OffsetRequest_v1
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.record.util import calc_crc32c

Header = tuple[bytes, bytes | None]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_ENCODE = (bytes, codec.gzip_encode, codec.snappy_encode, codec.lz4_encode, codec.zstd_encode)
_DECODE = (bytes, codec.gzip_decode, codec.snappy_decode, codec.lz4_decode, codec.zstd_decode)
_HEAD = struct.Struct(">qiibIhiqqqhii")
_CRC_FROM = 21
_TRANSACTIONAL, _CONTROL = 0x10, 0x20
_ANSWER_BYTES = 64 << 20


class Stored(NamedTuple):
    """A record of a log."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]


# ---- batches ----


def batch(records: Sequence[tuple[bytes | None, bytes | None, Sequence[Header]]], codec_number: int = 0) -> bytes:
    """One record batch of keys, values and headers."""
    body = b"".join(_record(n, *one) for n, one in enumerate(records))
    packed = _ENCODE[codec_number](body)
    last = len(records) - 1
    after = struct.pack(">hiqqqhii", codec_number, last, 0, 0, -1, -1, -1, len(records)) + bytes(packed)
    return struct.pack(">qiibI", 0, 9 + len(after), 0, 2, calc_crc32c(after)) + after


def _record(delta: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bytes:
    parts = [b"\0", _number(0), _number(delta), _sized(key), _sized(value), _number(len(headers))]
    for name, content in headers:
        parts += [_number(len(name)), name, _sized(content)]
    body = b"".join(parts)
    return _number(len(body)) + body


def _number(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sized(content: bytes | None) -> bytes:
    return _number(-1) if content is None else _number(len(content)) + content


def records_in(data: bytes) -> Iterator[Stored]:
    """The records of whole batches, without those that are control records; a batch that is cut off ends it."""
    place = 0
    while place + _HEAD.size <= len(data):
        base, length, _, _, _, attributes, *_, count = _HEAD.unpack_from(data, place)
        end = place + 12 + length
        if end > len(data):
            return
        if not attributes & _CONTROL:
            body = io.BytesIO(bytes(_DECODE[attributes & 7](data[place + _HEAD.size : end])))
            for _ in range(count):
                yield _stored(body, base)
        place = end


def next_offset_of(data: bytes, otherwise: int) -> int:
    """The offset after the last whole batch."""
    place = 0
    while place + _HEAD.size <= len(data):
        base, length, _, _, _, _, last, *_ = _HEAD.unpack_from(data, place)
        if place + 12 + length > len(data):
            break
        otherwise = base + last + 1
        place += 12 + length
    return otherwise


def _stored(body: io.BytesIO, base: int) -> Stored:
    _read(body)
    body.read(1)
    _read(body)
    offset = base + _read(body)
    key, value = _content(body), _content(body)
    headers = []
    for _ in range(_read(body)):
        name = _content(body)
        headers.append((name or b"", _content(body)))
    return Stored(offset, key, value, headers)


def _read(body: io.BytesIO) -> int:
    value = shift = 0
    while True:
        (byte,) = body.read(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7


def _content(body: io.BytesIO) -> bytes | None:
    length = _read(body)
    return None if length < 0 else body.read(length)


# ---- requests ----


class Wire:
    """A connection to the one node of a run. One request at a time."""

    def __init__(self, bootstrap: str) -> None:
        self._host, port = bootstrap.split(":")
        self._port = int(port)
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 20)

    def close(self) -> None:
        """Disconnect."""
        if self._writer is not None:
            self._writer.close()

    async def _ask(self, request: Any) -> Any:
        assert self._writer is not None
        async with self._lock:
            head = struct.pack(">hhih", request.API_KEY, request.API_VERSION, next(self._numbers), 4) + b"fuzz"
            message = head + request.encode()
            self._writer.write(struct.pack(">i", len(message)) + message)
            await self._writer.drain()
            (length,) = struct.unpack(">i", await self._reader.readexactly(4))
            answer = await self._reader.readexactly(length)
        return request.RESPONSE_TYPE.decode(io.BytesIO(answer[4:]))

    async def produce(self, topic: str, partition: int, data: bytes) -> tuple[int, int]:
        """Error code (0: taken) and the first record's offset."""
        answer = await self._ask(ProduceRequest_v7(None, -1, 30_000, [(topic, [(partition, data)])]))
        _, error, offset, *_ = answer.topics[0][1][0]
        return error, offset

    async def fetch(
        self, offsets: Mapping[tuple[str, int], int], *, wait_ms: int = 0, committed: bool = False
    ) -> dict[tuple[str, int], bytes]:
        """Batches from these offsets on, as bytes; whole ones, and perhaps a part of one more."""
        by_topic: dict[str, list[tuple[int, int, int]]] = {}
        for (topic, partition), offset in offsets.items():
            by_topic.setdefault(topic, []).append((partition, offset, 8 << 20))
        asked = FetchRequest_v4(-1, wait_ms, 1, _ANSWER_BYTES, int(committed), list(by_topic.items()))
        answer = await self._ask(asked)
        found = {}
        for topic, partitions in answer.topics:
            for partition, error, _, _, _, data in partitions:
                if error:
                    raise RuntimeError(f"{topic}/{partition} cannot be read: error {error}")
                found[topic, partition] = data
        return found

    async def ends(self, topics: Sequence[str], partitions: int) -> dict[tuple[str, int], int]:
        """The offset that the next record of each partition gets."""
        asked = [(topic, [(n, -1) for n in range(partitions)]) for topic in topics]
        answer = await self._ask(OffsetRequest_v1(-1, asked))
        return {(topic, n): offset for topic, parts in answer.topics for n, _, _, offset in parts}

    async def read(self, topic: str, partition: int, end: int) -> AsyncIterator[Stored]:
        """All records below an offset, from the first that is kept."""
        asked = [(topic, [(partition, -2)])]
        at = (await self._ask(OffsetRequest_v1(-1, asked))).topics[0][1][0][3]
        while at < end:
            data = (await self.fetch({(topic, partition): at}, wait_ms=500))[topic, partition]
            for one in records_in(data):
                if at <= one.offset < end:
                    yield one
            following = next_offset_of(data, at)
            if following == at:
                raise RuntimeError(f"{topic}/{partition} gives nothing at offset {at}, and ends at {end}")
            at = following
