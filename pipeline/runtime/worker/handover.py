"""Passes what one thread's event loop finds on to another's, in order, with one wake-up for all that waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 1
"""Fetches' records that may wait to be taken when the next ones are looked for. Nothing else bounds what waits while
the taking loop is busy."""


class Handover(Generic[T]):
    """From the loop that calls `put` to the loop that it is made in, where `take` is called.

    Neither waits for a lock: a deque's ends are safe to use from both, and flags are looked at again after being set.
    """

    def __init__(self, take: Callable[[T], None], most: int = MOST) -> None:
        self._take = take
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[T] = deque()
        self._called = False
        """Whether the taking loop was called, and has not begun."""
        self._full: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        """Loop and event of a `put` that waits for room."""

    async def put(self, found: T) -> None:
        """Pass it on; returns when no more waits than may. From one task at a time."""
        self._waiting.append(found)
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._take_all)
        while len(self._waiting) > self._most:
            room = asyncio.Event()
            self._full = asyncio.get_running_loop(), room
            if len(self._waiting) > self._most:
                await room.wait()
            self._full = None

    def _take_all(self) -> None:
        self._called = False  # first: what is put from now on calls again, or is taken below
        while self._waiting:
            self._take(self._waiting.popleft())
            if (full := self._full) is not None:
                loop, room = full
                loop.call_soon_threadsafe(room.set)
