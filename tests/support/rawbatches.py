"""Record batches made by hand and sent as they are: what no client library would write."""

import asyncio
import struct
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.errors import NotLeaderForPartitionError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
RawHeaders = Sequence[tuple[bytes, bytes | None]]


def varint(number: int) -> bytes:
    """A zigzag number."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while True:
        byte = rest & 0x7F
        rest >>= 7
        if not rest:
            return bytes([*out, byte])
        out.append(byte | 0x80)


def sized(content: bytes | None) -> bytes:
    """Bytes after their length."""
    return varint(-1) if content is None else varint(len(content)) + content


def record(number: int, key: bytes | None, value: bytes | None, headers: RawHeaders = (), *, since: int = 0) -> bytes:
    """A record, its length first. number: in its batch, from 0. since: ms after the batch's first timestamp."""
    body = b"\0" + varint(since) + varint(number) + sized(key) + sized(value) + varint(len(headers))
    body += b"".join(sized(name) + sized(content) for name, content in headers)
    return varint(len(body)) + body


def batch(
    records: Iterable[bytes],
    *,
    codec: int = 0,
    payload: bytes | None = None,
    base: int = 0,
    count: int | None = None,
    timestamp: int = 1_714_000_000_000,
    append_time: bool = False,
) -> bytes:
    """A batch with the right CRC. payload: lies there instead of the records, compressed or whatever."""
    found = list(records)
    content = compressed(codec, b"".join(found)) if payload is None else payload
    many = len(found) if count is None else count
    attributes = codec | (8 if append_time else 0)
    tail = struct.pack(">hiqqqhii", attributes, many - 1, timestamp, timestamp, -1, -1, -1, many) + content
    return struct.pack(">qiibI", base, len(tail) + 9, -1, 2, calc_crc32c(tail)) + tail


def compressed(codec: int, content: bytes) -> bytes:
    """As producers compress."""
    if codec == GZIP:
        return zlib.compress(content, wbits=31)
    return {0: bytes, SNAPPY: snappy_encode, LZ4: lz4_encode, ZSTD: zstd_encode}[codec](content)


async def append(bootstrap: str, topic: str, partition: int, raw: bytes) -> int:
    """Have the broker append a batch; its base offset. Raises what the broker answers, once it leads the partition."""
    tries = 50
    while tries > 1:
        with suppress(NotLeaderForPartitionError, UnknownTopicOrPartitionError):
            return await _append(bootstrap, topic, partition, raw)
        tries -= 1
        await asyncio.sleep(0.1)
    return await _append(bootstrap, topic, partition, raw)


async def _append(bootstrap: str, topic: str, partition: int, raw: bytes) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(node, ProduceRequest(None, -1, 10_000, [(topic, [(partition, raw)])]))
        ((_, ((_, code, offset, *_),)),) = answer.topics
        if code:
            raise for_code(code)(topic)
        return int(offset)
    finally:
        await client.close()
