"""Outboxes in the changelog: what a batch produces, as bytes, so that a successor can produce it again.

An outbox is written in the batch's own record batch, under a key of its own (`changelog.outbox_key`), where it stays
until its outputs are acknowledged. So several batches may be in flight and each outbox is written once.

Its records repeat much: identity, trigger and time are in their value and their headers, and the states beside them in
the changelog repeat it again. LZ4 refers to what was there before instead of repeating it: of the cheapest records
(attribution, every key new) an outbox takes 109 bytes instead of 611 a record, for 1 % of the processing time. Given
the states of its batch to refer to as well, it would not become shorter. msgpack, because outputs are bytes.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cramjam
import msgpack

from endocrine.pipeline.core.changelog import outbox_key
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.formats import OUTBOX, UnknownFormat, readable, refusal
from endocrine.pipeline.core.records import Headers, OutputRecord

MOST_FOLD = 255
"""Content bytes for each byte of an LZ4 block, at most."""
_head = struct.Struct(">BI")
"""The version, and bytes before compression."""


class Outbox(NamedTuple):
    """What one batch produces."""

    batch: int
    """Its number."""
    common: Headers
    """Headers that its derived records share."""
    records: Sequence[OutputRecord]
    """In trigger order; the last is its journal record."""


def pack_outbox(outbox: Outbox) -> bytes:
    """Return the outbox as bytes, not compressed: the size by which batches are cut depends on no compressor."""
    packed: bytes = msgpack.packb(outbox, use_bin_type=True)
    return packed


def compress_outbox(packed: bytes) -> bytes:
    """Return a packed outbox as it is written to the changelog."""
    return _head.pack(OUTBOX.writes, len(packed)) + bytes(cramjam.lz4.compress_block(packed, store_size=False))


def decode_outbox(value: bytes) -> Outbox:
    """Return the outbox from bytes of the changelog. Raises ValueError when they are none, UnknownFormat (one, too)
    when they are of a version that is not read."""
    try:
        version, size = _head.unpack_from(value)
    except struct.error as error:
        raise ValueError(f"no outbox: {error}; expected version {readable(OUTBOX)}") from error
    if version not in OUTBOX.reads:
        raise refusal(OUTBOX, version)
    try:
        if size > MOST_FOLD * len(value):
            raise ValueError(f"{len(value)} bytes cannot hold {size}")
        packed = bytearray(size)
        if cramjam.lz4.decompress_block_into(value[_head.size :], packed) != size:
            raise ValueError("cut short")
        batch, common, records = msgpack.unpackb(packed, use_list=False)
        return Outbox(batch, common, [OutputRecord(*out) for out in records])
    except Exception as error:  # what each library raises is its own, and changes with its version
        raise ValueError(f"no outbox: {error}; expected version {readable(OUTBOX)}") from error


def last_outbox(checkpoint: Checkpoint, get: Callable[[bytes], bytes | None]) -> Outbox | None:
    """Return the outbox of the checkpoint's own batch; None before the first batch.

    get: the last value of a key of the changelog. Raises ValueError when there is no such outbox.
    """
    return _outbox(checkpoint, checkpoint.batch, get) if checkpoint.batch else None


def outboxes_to_produce(checkpoint: Checkpoint, get: Callable[[bytes], bytes | None]) -> list[Outbox]:
    """Return the outboxes that may not have been produced, by batch number: a successor produces them in this order.

    get: the last value of a key of the changelog. Raises ValueError when one is missing.
    """
    return [_outbox(checkpoint, number, get) for number in range(checkpoint.produced + 1, checkpoint.batch + 1)]


def _outbox(checkpoint: Checkpoint, number: int, get: Callable[[bytes], bytes | None]) -> Outbox:
    if checkpoint.outbox:  # of version 1, which holds the outbox itself
        return Outbox(checkpoint.batch, checkpoint.common, checkpoint.outbox)
    key = outbox_key(number, checkpoint.slots)
    value = get(key)
    if value is None:
        raise ValueError(f"no outbox of batch {number}, which checkpoint {checkpoint.batch} needs")
    try:
        found = decode_outbox(value)
    except UnknownFormat as error:
        raise UnknownFormat(f"key {key.decode()}: {error}") from None
    except ValueError as error:
        raise ValueError(f"key {key.decode()}: {error}") from error
    if found.batch != number:
        raise ValueError(f"outbox of batch {found.batch}; checkpoint {checkpoint.batch} needs that of batch {number}")
    return found
