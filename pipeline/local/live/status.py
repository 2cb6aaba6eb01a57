"""The figures at the top of the view, and the latest notice. Pure."""

from collections import deque
from dataclasses import dataclass, field

_SPAN_S = 5.0


class Rate:
    """Records per second over the last few seconds. Times are passed in, seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def at(self, now: float, count: int) -> float:
        """Return the rate, `count` records having been counted by now."""
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > _SPAN_S:
            self._marks.popleft()
        begun, before = self._marks[0]
        return (count - before) / (now - begun) if now > begun else 0.0


@dataclass
class Status:
    """What the top and the foot of the view show."""

    command: str
    bootstrap: str = ""
    worker: str = "starting"
    fed: int = 0
    to_feed: int | None = None
    round: int = 1
    fed_rate: float = 0.0
    derived: int = 0
    derived_rate: float = 0.0
    lag: dict[str, int] = field(default_factory=dict)
    """Records to read, per agent."""
    dead: int = 0
    note: str = ""
    gateway: str = ""
    """Where applications reach us, and who answers; shown while there is no note."""
