"""A record's body: all that a reader of the topic sees of it but offset and time, as bytes.

Equal bodies, equal records: so what was made again is compared with what stands there without a look into either. A
body is one array in msgpack: key, value, and a pair of name and content for each header. So records that end in the
same headers have bodies that end in the same bytes.
"""

from collections.abc import Callable

import msgpack

from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.replay.difference import Content

PartitionKey = tuple[str, int]
"""Topic and partition."""
SerializedOutput = tuple[PartitionKey, bytes]
"""A record that was made again: its place and its body."""
_pack = msgpack.Packer().pack
_SHORT = [bytes([0x90 + size]) for size in range(16)]
"""What an array of so few items begins with (msgpack's fixarray)."""


def packed(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """The body of a record."""
    body: bytes = _pack((key, value, *headers))
    return body


def unpacked(body: bytes) -> Content:
    """Key, value and headers of a body."""
    items = msgpack.unpackb(body, use_list=False)
    return items[0], items[1], items[2:]


def ending(headers: Headers) -> bytes:
    """What the bodies of records with these last headers end in."""
    return b"".join(map(_pack, map(tuple, headers)))


def packing(common: Headers) -> Callable[[OutputRecord], SerializedOutput]:
    """Puts down the outputs of a batch, whose derived records share these last headers."""
    last, more = ending(common), 2 + len(common)

    def said(out: OutputRecord) -> SerializedOutput:
        topic, partition, key, value, own, derived = out
        body: bytes = _pack((key, value, *own))
        if derived:
            size = more + len(own)
            # A third faster than to pack what all of them share.
            body = _SHORT[size] + body[1:] + last if size < len(_SHORT) else _pack((key, value, *own, *common))
        return (topic, partition), body

    return said
