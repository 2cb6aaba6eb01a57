"""The head: what a batch leaves behind beside the states, under one key of the changelog.

It holds the claim, the batch's number, the next offset per source topic, the high-water marks, and the outbox: what the
batch says, as bytes, so that a successor can say it again. msgpack, because outputs are bytes.
"""

import hashlib
from dataclasses import dataclass, field

import msgpack

from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.core.watermarks import Watermarks

FORM = 1
"""Version of the encoding; a head of another form is refused, never guessed at."""


@dataclass(slots=True)
class Checkpoint:
    """The state of an (agent, partition) apart from its keys."""

    epoch: int = -1
    """Changelog offset of the claim under which this checkpoint was written."""
    batch: int = 0
    """Number of the batch; the first is 1."""
    next_offsets: dict[str, int] = field(default_factory=dict)
    """Per source topic, the first offset not yet taken into a batch."""
    marks: Watermarks = field(default_factory=dict)
    common: Headers = ()
    """Headers shared by the derived records of the outbox."""
    outbox: list[OutputRecord] = field(default_factory=list)
    """Outputs of this batch, in trigger order; the last is its journal record."""

    @property
    def journal_digest(self) -> str | None:
        """SHA-256 of the bytes of this batch's journal record; None before the first batch."""
        return hashlib.sha256(self.outbox[-1].value or b"").hexdigest() if self.outbox else None


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the head as bytes."""
    packed: bytes = msgpack.packb(
        [
            FORM,
            checkpoint.epoch,
            checkpoint.batch,
            checkpoint.next_offsets,
            checkpoint.marks,
            checkpoint.common,
            checkpoint.outbox,
        ],
        use_bin_type=True,
    )
    return packed


def decode_checkpoint(value: bytes) -> Checkpoint:
    """Return the head from bytes. Raises ValueError when they are none of this form."""
    try:
        form, epoch, batch, next_offsets, marks, common, outbox = msgpack.unpackb(value, use_list=False)
    except Exception as error:
        raise ValueError(f"not a head: {error}; expected form {FORM}") from error
    if form != FORM:
        raise ValueError(f"head of form {form}; expected {FORM}: was this changelog written by another version?")
    return Checkpoint(epoch, batch, dict(next_offsets), dict(marks), common, [OutputRecord(*out) for out in outbox])
