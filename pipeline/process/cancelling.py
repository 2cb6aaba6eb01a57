"""Tasks that are cancelled until they end: a library that loses one cancellation does not keep us."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 5.0
"""Seconds until a task that goes on is cancelled again: more than one needs to close what it holds."""


async def cancelled(tasks: Iterable["asyncio.Task[Any]"], *, within_s: float | None = None) -> None:
    """Cancel the tasks and wait until all have ended, at most `within_s` seconds; what they raise stays with them.

    A cancellation of the caller is passed on to the caller; the tasks then end on their own.
    """
    loop = asyncio.get_running_loop()
    deadline = None if within_s is None else loop.time() + within_s
    pending = set(tasks)
    while pending:
        left = AGAIN_S if deadline is None else min(AGAIN_S, deadline - loop.time())
        if left <= 0:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=left)
