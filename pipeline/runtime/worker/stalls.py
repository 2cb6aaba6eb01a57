"""Which partitions have records to read and take no step, and for how long. Pure: time is passed in."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple


class Seen(NamedTuple):
    """A processor as it was seen last."""

    step: Hashable
    """Something that every step changes."""
    behind: int
    """Records that it has still to read."""


class StallDetector:
    """Seconds without a step, of each processor that has records to read."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Seen, float]] = {}
        self._now = 0.0

    def observe(self, now: float, processors: Mapping[str, Seen]) -> None:
        """Take in how the processors are at `now`, monotonic seconds. One that is not among them is forgotten."""
        before, self._seen, self._now = self._seen, {}, now
        for name, seen in processors.items():
            last, since = before.get(name, (seen, now))
            moved = seen.behind == 0 or last.behind == 0 or last.step != seen.step
            self._seen[name] = seen, now if moved else since

    def excuse(self, now: float) -> None:
        """Start all over: what went by up to `now` is the broker's fault, and a restart would not help."""
        self._seen = {name: (seen, now) for name, (seen, _) in self._seen.items()}
        self._now = now

    def ages(self) -> dict[str, float]:
        """Return the seconds without a step of each processor, as of the last look.

        >>> stalls = StallDetector()
        >>> for now, step in (10.0, 1), (12.0, 2), (19.0, 2):
        ...     stalls.observe(now, {"gating/0": Seen(step, 5), "bonds/0": Seen(7, 0)})
        >>> stalls.ages()
        {'gating/0': 7.0, 'bonds/0': 0.0}
        """
        return {name: self._now - since for name, (_, since) in self._seen.items()}

    def behind(self) -> dict[str, int]:
        """Return the records that each processor has still to read, as of the last look."""
        return {name: seen.behind for name, (seen, _) in self._seen.items()}
