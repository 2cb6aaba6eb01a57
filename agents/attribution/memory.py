"""State of the attribution agent for one (identity, primitive): a JSON array, because it is small and quick."""

from typing import Any, Literal, NamedTuple

from endocrine.schemas.vocabulary import AttributionState

Merger = Literal["c", "n", "h"]
"""Categorical, numeric, hash."""


class Memory(NamedTuple):
    """The fields of the array, in order. The three lists run in step, oldest observation first."""

    merger: Merger | Literal[""]
    """Empty before the first observation."""
    observations: int
    """Observations so far."""
    state: AttributionState
    last_change_ts: float
    """Seconds of event time."""
    since_first: bool
    """Whether `last_change_ts` is still that of the first observation."""
    stamps: list[float]
    """Seconds of event time."""
    values: list[Any]
    """As `values.py` keeps them."""
    marks: list[int]
    """CRC-32 of the observations' ids."""
    dropped: float | None
    """Latest ts of a hash that the bound dropped and that is inside the window."""


NEW = Memory("", 0, "unknown", 0.0, False, [], [], [], None)
