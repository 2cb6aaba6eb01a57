"""Lines of standard input, without a terminal too."""

import asyncio
import os
import threading
from collections import deque

_CHUNK = 65_536


class Lines:
    """Reads in a thread of its own; one reader at a time.

    From the file descriptor itself: a thread that waits inside `sys.stdin` would hold its lock when the process ends.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._lines: deque[str] = deque()
        self._ended = False
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True, name="stdin").start()

    async def next(self) -> str | None:
        """Return the next line without its end; None after the last."""
        while not self._lines:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._lines.popleft()

    def peek(self) -> str | None:
        """Return the next line if it is there already; it stays."""
        return self._lines[0] if self._lines else None

    def _read(self, descriptor: int) -> None:
        rest = b""
        try:
            while chunk := os.read(descriptor, _CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                if whole:
                    self._tell([line.decode("utf-8", "replace").rstrip("\r") for line in whole], False)
        except OSError:
            pass
        self._tell([rest.decode("utf-8", "replace")] if rest else [], True)

    def _tell(self, lines: list[str], ended: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take, lines, ended)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return

    def _take(self, lines: list[str], ended: bool) -> None:
        self._lines.extend(lines)
        self._ended = self._ended or ended
        self._news.set()
