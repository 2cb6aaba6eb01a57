"""A serialized record: all that a reader of the topic sees of it but offset and time, as bytes.

Equal bytes, equal records: so what was made again is compared with what is there without a look into either. It
is one array in msgpack: key, value, and a pair of name and content for each header. So records that end in the
same headers end in the same bytes.
"""

from collections.abc import Callable

import msgpack

from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.replay.difference import Content

PartitionKey = tuple[str, int]
"""Topic and partition."""
SerializedOutput = tuple[PartitionKey, bytes]
"""A record that was made again: its place and its serialized form."""
_pack = msgpack.Packer().pack
_SHORT = [bytes([0x90 + size]) for size in range(16)]
"""What an array of so few items begins with (msgpack's fixarray)."""


def packed(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return a record's key, value and headers as bytes."""
    serialized: bytes = _pack((key, value, *headers))
    return serialized


def unpacked(serialized: bytes) -> Content:
    """Return key, value and headers of a serialized record."""
    items = msgpack.unpackb(serialized, use_list=False)
    return items[0], items[1], items[2:]


def ending(headers: Headers) -> bytes:
    """Return the bytes that serialized records with these last headers end in."""
    return b"".join(map(_pack, map(tuple, headers)))


def packing(common: Headers) -> Callable[[OutputRecord], SerializedOutput]:
    """Return a function that serializes the outputs of a batch, whose derived records share these last headers."""
    last, more = ending(common), 2 + len(common)

    def pack(out: OutputRecord) -> SerializedOutput:
        topic, partition, key, value, own, derived = out
        serialized: bytes = _pack((key, value, *own))
        if derived:
            size = more + len(own)
            # A third faster than to pack what all of them share.
            serialized = (
                _SHORT[size] + serialized[1:] + last if size < len(_SHORT) else _pack((key, value, *own, *common))
            )
        return (topic, partition), serialized

    return pack
