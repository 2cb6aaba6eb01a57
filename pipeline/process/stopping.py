"""SIGTERM and SIGINT as the wish to stop, from the first line of a process to its last: exit code 0 at any time.

Imports nothing slow: it is set up before the rest of the program is loaded, which takes a second or two.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SERVICES = ("worker", "connect", "run", "demo", "chat", "project", "gateway")
"""Commands that run until they are asked to stop. Of the others, one that is interrupted has failed."""
_stop: Callable[[], object] | None = None
_whole_life = False
"""Whether this process is ours from its first line to its last, and not one that calls us."""


def from_the_start(arguments: Sequence[str]) -> None:
    """Set up for the command that these arguments name, if it is a service.

    Until `asked` is entered there is nothing to end in order, and a signal ends the process at once.
    """
    global _whole_life
    if arguments[:1] and arguments[0] in SERVICES and "--rebuild" not in arguments:
        _whole_life = True
        for number in SIGNALS:
            signal.signal(number, _on_signal)


@contextmanager
def asked(stop: Callable[[], object], *, more: Sequence[signal.Signals] = ()) -> Iterator[None]:
    """Let a signal call `stop` in the running event loop; afterwards, in a process of ours, signals change
    nothing any more: it ends with the exit code that is due.

    more: signals that mean the same. Call it in the main thread.
    """
    global _stop
    import asyncio

    loop = asyncio.get_running_loop()
    _stop = lambda: loop.call_soon_threadsafe(stop)  # noqa: E731
    before = {number: signal.signal(number, _on_signal) for number in (*SIGNALS, *more)}
    try:
        yield
    finally:
        _stop = _nothing
        if not _whole_life:
            for number, handler in before.items():
                signal.signal(number, handler)
            _stop = None


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _stop is not None:
        _stop()
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may be closed, or in use where the signal came
            stream.flush()
    os._exit(0)


def _nothing() -> None:
    pass
