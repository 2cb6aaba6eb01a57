"""Figures that take a while to read: read in the background when somebody looks, and shown with their age.

A page never waits long for them. It shows what is known, and the next look has what was read meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")
FIRST_WAIT_S = 0.25
"""Seconds that a page waits where nothing is known yet."""
LONGEST_S = 30.0
"""Seconds after which a reading is given up."""
_log = structlog.get_logger("endocrine.console")


@dataclass(frozen=True)
class Known(Generic[T]):
    """What is known now."""

    value: T | None = None
    at: float | None = None
    """When it was read, seconds since 1970; None: never."""
    failed: str | None = None
    """Kind of the error of the last try, where that failed."""


class Reading(Generic[T]):
    """One figure. make: reads it. fresh_s: seconds for which it is not read again."""

    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        fresh_s: float,
        *,
        longest_s: float = LONGEST_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.fresh_s = fresh_s
        """May be changed: what takes long is read less often."""
        self._make, self._longest_s, self._clock = make, longest_s, clock
        self._known: Known[T] = Known()
        self._tried: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def get(self, wait_s: float = FIRST_WAIT_S) -> Known[T]:
        """Return what is known; where that is old, it is read again behind this. wait_s: for a first value."""
        if self._task is None and (self._tried is None or self._clock() - self._tried >= self.fresh_s):
            self._task = asyncio.create_task(self._read())
        if self._known.at is None and self._task is not None:
            await asyncio.wait({self._task}, timeout=wait_s)
        return self._known

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._longest_s):
                value = await self._make()
            self._known = Known(value, self._clock())
        except Exception as error:
            # Whatever it is, the page is still served, and says what it could not read.
            _log.warning("a figure of the console cannot be read", error=type(error).__name__)
            self._known = Known(self._known.value, self._known.at, type(error).__name__)
        finally:
            self._tried, self._task = self._clock(), None
