"""A circuit breaker: what fails again and again is left alone for a while."""

import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row; after `rest_s` seconds it lets one try through.

    clock: monotonic seconds, passed in by tests.
    """

    def __init__(self, failures: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._rest_s = rest_s
        self._clock = clock
        self._failed = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether it is open, resting or being tried."""
        return self._opened_at is not None

    def admit(self) -> bool:
        """Return whether a try may go out now. Each one admitted is followed by `succeeded`, `failed` or `gave_up`."""
        if self._opened_at is None:
            return True
        if self._trying or self._clock() - self._opened_at < self._rest_s:
            return False
        self._trying = True
        return True

    def wait_s(self) -> float:
        """Return the seconds until the next try may go out; 0 when one may now."""
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._rest_s - self._clock())

    def succeeded(self) -> None:
        """Close the breaker: a try succeeded."""
        self._failed, self._opened_at, self._trying = 0, None, False

    def failed(self) -> None:
        """Note that a try failed."""
        self._failed += 1
        if self._trying or self._failed >= self._most:
            self._opened_at = self._clock()
        self._trying = False

    def gave_up(self) -> None:
        """Note a try that says nothing: it was cancelled, or refused for a reason of its own."""
        self._trying = False
