"""Record batches as they lie on a topic (Kafka's message format 2), parsed so that one bad record hides no other."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from endocrine.pipeline.kafka.codecs import decompress

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
MAGIC_AT = 16
_ATTRIBUTES_AT = 21
_CODEC, _APPEND_TIME = 0x07, 0x08
_Headers = tuple[tuple[str, bytes | None], ...]


class BatchHeader(NamedTuple):
    """What comes before a batch's records."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def last_offset(self) -> int:
        """The last offset that the batch takes, whether or not a record lies there."""
        return self.base_offset + max(0, self.last_offset_delta)

    @property
    def whole(self) -> bool:
        """Whether no record was compacted away: then the offsets follow each other."""
        return self.records == self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """Number of the compression codec; 0: not compressed."""
        return self.attributes & _CODEC

    @property
    def append_time(self) -> bool:
        """Whether `max_timestamp` is the broker's append time, that of each record."""
        return bool(self.attributes & _APPEND_TIME)


class Parsed(NamedTuple):
    """A record of a batch."""

    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    key: bytes | None
    value: bytes | None
    headers: _Headers


class Damaged(NamedTuple):
    """Offsets of a batch that no record can be read from."""

    first: int
    last: int
    content: bytes
    """The bytes that lie there."""
    reason: str


def header_of(raw: bytes) -> BatchHeader:
    """Return the header of a batch. Raises struct.error when it is shorter than one."""
    return BatchHeader(*_HEADER.unpack_from(raw))


def inflated(raw: bytes, header: BatchHeader, limit: int) -> bytes:
    """Return the same batch without compression; its CRC does not fit any more. Raises Undecodable."""
    payload = decompress(header.codec, bytes(raw[HEADER_BYTES:]), limit)
    attributes = (header.attributes & ~_CODEC).to_bytes(2, "big", signed=True)
    return b"".join((raw[:_ATTRIBUTES_AT], attributes, raw[_ATTRIBUTES_AT + 2 : HEADER_BYTES], payload))


def header_name(name: bytes) -> str:
    r"""Return a header's name as text. Bytes that are not UTF-8 become `\xff` and the like: never a name of ours.

    >>> header_name(b"endocrine-origin"), header_name(b"endocrine-origin\xff")
    ('endocrine-origin', 'endocrine-origin\\xff')
    """
    return name.decode("utf-8", "backslashreplace")


def records_of(raw: bytes, header: BatchHeader) -> Iterator[Parsed | Damaged]:
    """Yield every record of an uncompressed batch, in order. A record that cannot be parsed is passed over by its
    length.

    So is one that names another offset than its own: the broker takes it, and a reader that believed it would skip what
    others wrote.
    """
    at = HEADER_BYTES
    last = header.base_offset - 1
    for number in range(max(0, header.records)):
        offset = last + 1
        if offset > header.last_offset:
            return
        try:
            size, begin = _varint(raw, at)
            if size < 0 or begin + size > len(raw):
                raise ValueError
        except (ValueError, IndexError):
            reason = f"record {number} of {header.records} has no valid length"
            yield Damaged(offset, header.last_offset, bytes(raw[at:]), reason)
            return
        at = begin + size
        content = bytes(raw[begin:at])
        try:
            found = _record(content, header)
            if not offset <= found.offset <= (offset if header.whole else header.last_offset):
                raise ValueError
        except (ValueError, IndexError):
            yield Damaged(offset, offset, content, f"record {number} of {header.records} is malformed")
            last = offset
        else:
            yield found
            last = found.offset


def _record(content: bytes, header: BatchHeader) -> Parsed:
    _, at = _varint(content, 0)  # attributes: none are in use
    since, at = _varint(content, at)
    delta, at = _varint(content, at)
    key, at = _sized(content, at)
    value, at = _sized(content, at)
    count, at = _varint(content, at)
    if count < 0:
        raise ValueError(f"{count} headers")
    headers = []
    for _ in range(count):
        name, at = _sized(content, at)
        if name is None:
            raise ValueError("a header without name")
        held, at = _sized(content, at)
        headers.append((header_name(name), held))
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes left")
    when = header.max_timestamp if header.append_time else header.first_timestamp + since
    return Parsed(header.base_offset + delta, when, key, value, tuple(headers))


def _sized(content: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(content, at)
    if size < 0:
        return None, at
    if at + size > len(content):
        raise ValueError(f"{size} bytes where {len(content) - at} are left")
    return content[at : at + size], at + size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of at most 64 bits, and where it ends."""
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
