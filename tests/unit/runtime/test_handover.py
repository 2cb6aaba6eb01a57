"""What one thread's event loop finds reaches another's, in order, and waits where too much waits to be taken."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from endocrine.pipeline.runtime.worker.handover import Handover


@contextmanager
def another_loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], "asyncio.Future[Any]"]]:
    """What runs a coroutine in the loop of a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_all_arrives_in_order_in_the_loop_it_is_for():
    found: list[tuple[int, int]] = []
    handover: Handover[int] = Handover(lambda number: found.append((number, threading.get_ident())))

    async def many() -> None:
        for number in range(2000):
            await handover.put(number)

    with another_loop() as there:
        await there(many())
    await asyncio.sleep(0)
    assert found == [(number, threading.get_ident()) for number in range(2000)]


async def test_no_more_waits_than_may_while_the_taking_loop_is_busy():
    taken: list[int] = []
    put: list[int] = []
    handover: Handover[int] = Handover(taken.append, most=2)
    reached = threading.Event()

    async def many() -> None:
        for number in range(10):
            waiting = asyncio.ensure_future(handover.put(number))
            await asyncio.sleep(0)
            if not waiting.done():
                reached.set()
            await waiting
            put.append(number)

    with another_loop() as there:
        done = there(many())
        assert reached.wait(10)  # this loop is busy with waiting
        assert (taken, put) == ([], [0, 1])
        await done
    assert taken == list(range(10))


async def test_what_waits_costs_the_taking_loop_one_wake_up():
    calls: list[Any] = []
    taken: list[int] = []
    handover: Handover[int] = Handover(taken.append, most=9)
    handover._loop = type("Loop", (), {"call_soon_threadsafe": staticmethod(calls.append)})()  # type: ignore[assignment]
    for number in range(5):
        await handover.put(number)
    assert len(calls) == 1
    calls.pop()()
    assert taken == list(range(5))
    await handover.put(5)
    assert len(calls) == 1
