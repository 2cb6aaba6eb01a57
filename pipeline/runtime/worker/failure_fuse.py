"""A fuse on failures of our own code: a worker whose agents fail on too large a share of records is what is broken.

Malformed records do not count, however many: anybody may write them, and they go to the dead letters (the metric
`endocrine_records_refused_total` has an alert).
"""


class FailureFuse:
    """Blows when agents failed on more than `share` of the last `window` records. Counts batches, keeps two halves."""

    def __init__(self, share: float, window: int) -> None:
        self._share = share
        self._half = max(1, window // 2)
        self._old = (0, 0)
        self._new = (0, 0)

    def blown(self, read: int, failed: int) -> bool:
        """Count a batch; True when the share is exceeded over a full window.

        >>> fuse = FailureFuse(0.5, 100)
        >>> fuse.blown(40, 40), fuse.blown(40, 40), fuse.blown(40, 40)
        (False, False, True)
        """
        if self._new[0] >= self._half:
            self._old, self._new = self._new, (0, 0)
        self._new = (self._new[0] + read, self._new[1] + failed)
        seen, failures = self._old[0] + self._new[0], self._old[1] + self._new[1]
        return seen >= 2 * self._half and failures > self._share * seen

    def explain(self, processor: str) -> str:
        """Explain why it has blown, for a person."""
        seen, failures = self._old[0] + self._new[0], self._old[1] + self._new[1]
        return (
            f"{processor}: its agent failed on {failures} of the last {seen} records, more than the share"
            f" {self._share:g} that reject_fuse_share allows: this worker's version is wrong; see the dead"
            " letters of kind agent_error"
        )
