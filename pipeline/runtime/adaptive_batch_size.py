"""The number of records a batch may have so that processing does not hold the event loop.

All units of a worker process in one event loop. A batch of 2,000 records costs 20 ms where a record is folded in 10
microseconds, and more than a second where it makes a whole audit bundle: every other decision would wait for it.
"""

import time
from collections.abc import Callable

HOLD_S = 0.05
"""Seconds that one batch may process: long enough for the largest batch of cheap records."""
LEAST = 16
"""Records; fewer would not be worth their checkpoint."""
_SHARE = 0.3
"""Weight of the newest batch in the cost of a record."""


class AdaptiveBatchSize:
    """Batch sizes of one unit, from what its records cost.

    most: the largest batch. clock: seconds of processor time of this thread: on a busy machine a batch takes longer
    without costing more, and shorter ones would only make it busier.

    >>> size = AdaptiveBatchSize(2000)
    >>> size.limit
    2000
    >>> size.took(100, 0.1)  # a millisecond each
    >>> size.limit
    50
    """

    def __init__(self, most: int, hold_s: float = HOLD_S, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        self.limit = most
        """Records that the next batch may have."""
        self._most = most
        self._hold_s = hold_s
        self._cost_s = 0.0

    def took(self, records: int, seconds: float) -> None:
        """Learn from a batch that was processed."""
        if records < 1:
            return
        cost = seconds / records
        self._cost_s = cost if self._cost_s == 0.0 else self._cost_s + _SHARE * (cost - self._cost_s)
        self.limit = max(min(LEAST, self._most), min(self._most, int(self._hold_s / max(self._cost_s, 1e-9))))
