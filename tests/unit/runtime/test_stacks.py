"""SIGUSR1 makes a worker write what each of its tasks waits for, and go on."""

import asyncio
import os
import signal

import pytest

from endocrine.pipeline.runtime.worker.task_dump import on_signal
from waiting import until


async def waits_for_good_news() -> None:
    await asyncio.Event().wait()


async def outer() -> None:
    await waits_for_good_news()


async def test_the_whole_chain_of_awaits_is_written_and_nothing_ends(capfd: pytest.CaptureFixture[str]) -> None:
    task = asyncio.create_task(outer(), name="unit echo/3")
    loop = asyncio.get_running_loop()
    on_signal(lambda: {"worker": loop})
    try:
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGUSR1)
        written = ""

        def dumped() -> bool:
            nonlocal written
            written += capfd.readouterr().err
            return "Event.wait" in written[written.rfind("unit echo/3") :]

        await until(dumped)
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
    assert "tasks of the worker loop" in written
    chain = written[written.index("unit echo/3") :]
    assert chain.index("outer") < chain.index("waits_for_good_news") < chain.index("Event.wait")
    assert not task.done()
    task.cancel()
