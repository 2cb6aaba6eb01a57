"""The checkpoint: what a batch leaves behind beside the states, under one key of the changelog.

It holds the epoch, the batch's number, the next offset per source topic, the watermarks, and up to which batch all
outputs are produced. The outputs themselves are in outboxes, under keys of their own (endocrine.pipeline.core.outbox).
"""

import hashlib
from dataclasses import dataclass, field

import msgpack

from endocrine.pipeline.core.formats import CHECKPOINT, UnknownFormat, readable, refusal
from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.core.watermarks import Watermarks

WITH_OUTBOX = 1
"""The version before: it holds the outbox of its batch, the batch before is produced. Read, not written."""
OUTBOX_SLOTS = 2
"""Batches of one processor that may be checkpointed and not yet produced, the one being checkpointed included.

A batch waits for the changelog once and for its outputs twice (the journal record goes last). With two slots the one
is done during the other, and a batch takes the longer of its outputs and its processing; a third slot would only make a
successor produce more copies.
"""


@dataclass(slots=True)
class Checkpoint:
    """The state of an (agent, partition) apart from its keys."""

    epoch: int = -1
    """Changelog offset of the epoch record under which this checkpoint was written."""
    batch: int = 0
    """Number of the batch; the first is 1."""
    next_offsets: dict[str, int] = field(default_factory=dict)
    """Per source topic, the first offset not yet taken into a batch."""
    watermarks: Watermarks = field(default_factory=dict)
    common: Headers = ()
    """Headers shared by the derived records of the outbox. Not encoded, like the outbox."""
    outbox: list[OutputRecord] = field(default_factory=list)
    """Outputs of this batch, in trigger order; the last is its journal record. Empty where the checkpoint was decoded,
    but for the form before."""
    produced: int = 0
    """All batches up to this number are produced and acknowledged, as far as was known when this was encoded."""
    slots: int = OUTBOX_SLOTS
    """For so many batches the changelog has keys of outboxes."""
    encoded_journal_digest: str | None = None
    """`journal_digest` where the outbox is not here."""

    @property
    def journal_digest(self) -> str | None:
        """SHA-256 of the bytes of this batch's journal record; None before the first batch."""
        if self.outbox:
            return hashlib.sha256(self.outbox[-1].value or b"").hexdigest()
        return self.encoded_journal_digest


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as bytes, without its outbox."""
    packed: bytes = msgpack.packb(
        [
            CHECKPOINT.writes,
            checkpoint.epoch,
            checkpoint.batch,
            checkpoint.next_offsets,
            checkpoint.watermarks,
            checkpoint.journal_digest,
            checkpoint.produced,
            checkpoint.slots,
        ],
        use_bin_type=True,
    )
    return packed


def decode_checkpoint(value: bytes) -> Checkpoint:
    """Return the checkpoint from bytes. Raises ValueError when they are none, UnknownFormat (one, too) when they are of
    a version that is not read; both name the key."""
    try:
        version, *content = msgpack.unpackb(value, use_list=False)
        if version not in CHECKPOINT.reads:
            raise refusal(CHECKPOINT, version, "h")
        epoch, batch, next_offsets, watermarks, *rest = content
        if version == WITH_OUTBOX:
            common, outbox = rest
            records = [OutputRecord(*out) for out in outbox]
            return Checkpoint(epoch, batch, dict(next_offsets), dict(watermarks), common, records, max(0, batch - 1), 1)
        digest, produced, slots = rest
        return Checkpoint(epoch, batch, dict(next_offsets), dict(watermarks), (), [], produced, slots, digest)
    except UnknownFormat:
        raise
    except Exception as error:
        raise ValueError(f"key h: no checkpoint: {error}; expected version {readable(CHECKPOINT)}") from error
