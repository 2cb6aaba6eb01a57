"""An asynchronous context on an event loop and a thread of its own, for what tests with loops of their own share."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def on_a_thread(context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter the context on a thread; it is left there, too. Raises what entering or leaving raises."""
    entered: Future[T] = Future()
    leaving: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        leave = asyncio.Event()
        leaving.set_result((asyncio.get_running_loop(), leave))
        try:
            async with context as value:
                entered.set_result(value)
                await leave.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    ended: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, name="shared", daemon=True).start()
    yield entered.result()
    loop, leave = leaving.result()
    loop.call_soon_threadsafe(leave.set)
    ended.result()
