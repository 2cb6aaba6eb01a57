"""Tasks are cancelled until they end."""

import asyncio
from contextlib import suppress

import pytest

from endocrine.pipeline.process import cancelling
from endocrine.pipeline.process.cancelling import cancelled


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(cancelling, "AGAIN_S", 0.01)


async def test_a_task_that_loses_its_first_cancellation_is_cancelled_again():
    async def loses_one():
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(loses_one())
    await asyncio.sleep(0)
    await cancelled([task])
    assert task.cancelled()


async def test_what_a_task_raised_stays_with_it():
    async def fails():
        raise ValueError("as it was")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await cancelled([task])
    with pytest.raises(ValueError, match="as it was"):
        task.result()


async def test_a_task_that_never_ends_is_left_after_the_time_it_had():
    async def never():
        while not done.is_set():
            with suppress(asyncio.CancelledError):
                await done.wait()

    done = asyncio.Event()
    task = asyncio.create_task(never())
    await asyncio.sleep(0)
    await cancelled([task], within_s=0.05)
    assert not task.done()
    done.set()
    await task


async def test_a_cancellation_of_the_caller_reaches_the_caller():
    async def never():
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                lost.set()

    done, lost = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(never())
    await asyncio.sleep(0)
    caller = asyncio.create_task(cancelled([task]))
    await asyncio.wait_for(lost.wait(), 60)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    done.set()
    await task
