"""What a process waits for: every task of its event loops with its chain of awaits, on SIGUSR1.

A stack of threads shows an event loop that waits; it does not show for what. An operator who sees a worker make no
progress sends SIGUSR1 and finds the answer in the log; the worker goes on.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO


def awaits(task: "asyncio.Task[Any]") -> Iterator[str]:
    """Return one line a frame, outermost first, of what this task has suspended in."""
    waits: Any = task.get_coro()
    while waits is not None:
        frame = _first(waits, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            yield repr(waits)
            return
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        waits = _first(waits, "cr_await", "gi_yieldfrom", "ag_await")


def _first(thing: object, *names: str) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)


def write_tasks(loops: Mapping[str, asyncio.AbstractEventLoop], to: TextIO) -> None:
    """Write the tasks of these loops, by name."""
    for name, loop in loops.items():
        tasks = asyncio.all_tasks(loop)
        print(f"--- {len(tasks)} tasks of the {name} loop", file=to)
        for task in sorted(tasks, key=lambda task: task.get_name()):
            print(f"{task.get_name()}{' (cancelling)' if task.cancelling() else ''}", file=to)
            for line in awaits(task):
                print(f"    {line}", file=to)
    to.flush()


def on_signal(loops: Callable[[], Mapping[str, asyncio.AbstractEventLoop]]) -> None:
    """Let SIGUSR1 write the tasks of these loops to stderr. Called in the running loop."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: write_tasks(loops(), sys.stderr))
