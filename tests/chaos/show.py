"""Progress: a line that renews itself on a terminal, a line every ten seconds elsewhere. On stderr."""

import sys
import time

EVERY_S = 10.0


class Show:
    """What the run is doing now."""

    def __init__(self, inputs: int, faults: int) -> None:
        self._inputs = inputs
        self._faults = faults
        self._terminal = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._last = 0.0
        self._phase = ""

    def line(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def phase(self, name: str) -> None:
        """What comes next."""
        self._phase = name
        self.line(f"{time.monotonic() - self._begun:6.1f} s  {name} ...")

    def tell(self, text: str) -> None:
        """How it goes."""
        now = time.monotonic()
        if self._terminal:
            print(f"\r\x1b[2K         {self._phase}: {text}"[:150], end="", file=sys.stderr, flush=True)
        elif now - self._last > EVERY_S:
            self._last = now
            print(f"{now - self._begun:6.1f} s  {self._phase}: {text}", file=sys.stderr, flush=True)

    def share(self, done: int, total: int) -> None:
        """So many of so many."""
        self.tell(f"{done} of {total} records")

    def numbers(self, sent: int, faults: int, up: int, batches: int, lag: int, exits: int) -> None:
        """The figures of the disturbed phase."""
        width = 24
        full = int(width * sent / self._inputs)
        bar = "#" * full + "." * (width - full)
        self.tell(
            f"[{bar}] {sent}/{self._inputs} inputs, {faults}/{self._faults} faults, {up} workers up, "
            f"{batches} batches, lag {lag}, {exits} own exits"
        )

    def _clear(self) -> None:
        if self._terminal:
            print("\r\x1b[2K", end="", file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal clean."""
        self._clear()
