"""A batch that was thought and has not been written yet."""

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
    aside: list[OutputRecord]
    """Dead letters and misfits, spoken before anything is remembered."""
    checkpoint: Checkpoint
    """As it will be; its outbox is what the batch says."""
    items: Items
    """What is remembered, the head last."""
    states: Mapping[str, bytes | None]
    """The same by state key, for the batch that is thought next."""
    tally: Tally
