"""The checkpoint: what a batch leaves behind beside the states, under one key of the changelog.

It holds the epoch, the batch's number, the next offset per source topic, the watermarks, and the outbox: what the
batch produces, as bytes, so that a successor can produce it again. msgpack, because outputs are bytes.
"""

import hashlib
from dataclasses import dataclass, field

import msgpack

from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.core.watermarks import Watermarks

FORM = 1
"""Version of the encoding; a checkpoint of another form is refused, never guessed at."""


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
    """Headers shared by the derived records of the outbox."""
    outbox: list[OutputRecord] = field(default_factory=list)
    """Outputs of this batch, in trigger order; the last is its journal record."""

    @property
    def journal_digest(self) -> str | None:
        """SHA-256 of the bytes of this batch's journal record; None before the first batch."""
        return hashlib.sha256(self.outbox[-1].value or b"").hexdigest() if self.outbox else None


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as bytes."""
    packed: bytes = msgpack.packb(
        [
            FORM,
            checkpoint.epoch,
            checkpoint.batch,
            checkpoint.next_offsets,
            checkpoint.watermarks,
            checkpoint.common,
            checkpoint.outbox,
        ],
        use_bin_type=True,
    )
    return packed


def decode_checkpoint(value: bytes) -> Checkpoint:
    """Return the checkpoint from bytes. Raises ValueError when they are not of this form."""
    try:
        form, epoch, batch, next_offsets, watermarks, common, outbox = msgpack.unpackb(value, use_list=False)
    except Exception as error:
        raise ValueError(f"not a checkpoint: {error}; expected form {FORM}") from error
    if form != FORM:
        raise ValueError(f"checkpoint of form {form}; expected {FORM}: was this changelog written by another version?")
    return Checkpoint(
        epoch, batch, dict(next_offsets), dict(watermarks), common, [OutputRecord(*out) for out in outbox]
    )
