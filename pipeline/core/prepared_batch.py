"""A batch that was processed and has not been written yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from endocrine.pipeline.core.batch import Tally
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.records import OutputRecord

Items = list[tuple[bytes, bytes | None]]
"""Changelog records: keys and values, None for a tombstone."""


@dataclass(slots=True)
class PreparedBatch:
    """The result of Read and Process for some records."""

    read: int
    """How many records."""
    rejected_or_rerouted: list[OutputRecord]
    """Dead letters and re-keyed records, produced before the checkpoint."""
    checkpoint: Checkpoint
    """As it will be; its outbox has the batch's outputs. It is encoded when it is written, for it says what is produced
    by then."""
    items: Items
    """Records of the changelog without the checkpoint: states and the outbox."""
    states: Mapping[str, bytes | None]
    """The same by state key, for the batch that is processed next."""
    tally: Tally
