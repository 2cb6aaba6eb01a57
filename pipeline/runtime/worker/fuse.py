"""A fuse on the dead letters: a worker that rejects too large a share is itself what is broken."""


class Fuse:
    """Blows when of the last `window` records more than `share` were refused. Counts batches, keeps two halves."""

    def __init__(self, share: float, window: int) -> None:
        self._share = share
        self._half = max(1, window // 2)
        self._old = (0, 0)
        self._new = (0, 0)

    def blown(self, read: int, bad: int) -> bool:
        """Count a batch; True when the share is exceeded over a full window.

        >>> fuse = Fuse(0.5, 100)
        >>> fuse.blown(40, 40), fuse.blown(40, 40), fuse.blown(40, 40)
        (False, False, True)
        """
        if self._new[0] >= self._half:
            self._old, self._new = self._new, (0, 0)
        self._new = (self._new[0] + read, self._new[1] + bad)
        seen, refused = self._old[0] + self._new[0], self._old[1] + self._new[1]
        return seen >= 2 * self._half and refused > self._share * seen

    def explain(self, unit: str) -> str:
        """Why it has blown, for a person."""
        seen, refused = self._old[0] + self._new[0], self._old[1] + self._new[1]
        return (
            f"{unit}: {refused} of the last {seen} records were refused, more than the share {self._share:g} that "
            "reject_fuse_share allows: look at the dead letters; a producer or this worker's version is wrong"
        )
