"""Waiting in tests: for a condition, or for the other tasks of the loop; never for a time that was guessed."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE_S = 120.0
"""Seconds after which a condition is given up; long, as no test may fail because the machine is slow."""
_PAUSE_S = 0.01


async def until(probe: Callable[[], Any] | Callable[[], Awaitable[Any]], within_s: float = PATIENCE_S) -> Any:
    """Call `probe` (a function or a coroutine function) until it returns something true; return that.

    Raises TimeoutError after `within_s` seconds.
    """
    async with asyncio.timeout(within_s):
        while True:
            found = probe()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(_PAUSE_S)


async def until_answer(
    ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], within_s: float = PATIENCE_S
) -> Any:
    """Ask until the answer satisfies; return it. Raises TimeoutError after `within_s` seconds."""
    async with asyncio.timeout(within_s):
        while not good(answer := await ask()):  # noqa: ASYNC110 - the other end may be a process
            await asyncio.sleep(_PAUSE_S)
    return answer


async def turns_of_the_loop(count: int = 50) -> None:
    """Let the tasks that are ready run so many times: what could go on without a timer or a socket has gone on."""
    for _ in range(count):
        await asyncio.sleep(0)
