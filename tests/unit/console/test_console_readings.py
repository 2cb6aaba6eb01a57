"""Figures that are read behind a page: never waited for long, read again when they are old, kept when a read fails."""

import asyncio

from endocrine.pipeline.console.readings import Reading


class Source:
    """Gives 1, 2, 3, ...; waits for `go` where it is closed."""

    def __init__(self):
        self.calls, self.go, self.wrong = 0, asyncio.Event(), None
        self.go.set()

    async def __call__(self):
        self.calls += 1
        await self.go.wait()
        if self.wrong is not None:
            raise self.wrong
        return self.calls


async def settled(reading):
    while reading._task is not None:
        await reading._task


async def test_a_value_is_read_once_while_it_is_fresh_and_behind_the_page_afterwards():
    source, now = Source(), [100.0]
    reading = Reading(source, 10, clock=lambda: now[0])
    assert (await reading.get(5)).value == 1
    now[0] = 109.0
    assert (await reading.get()).value == 1
    assert source.calls == 1
    now[0], _ = 110.0, source.go.clear()
    old = await reading.get(5)  # not waited for: an old value is better than none
    assert (old.value, old.at) == (1, 100.0)
    source.go.set()
    await settled(reading)
    assert (await reading.get()).value == 2


async def test_a_page_does_not_wait_for_what_takes_long():
    source = Source()
    source.go.clear()
    reading = Reading(source, 10)
    first, second = await asyncio.gather(reading.get(0), reading.get(0))
    assert (first.value, first.failed, second.at) == (None, None, None)
    assert source.calls == 1
    source.go.set()
    await settled(reading)
    assert (await reading.get()).value == 1


async def test_a_failure_is_named_and_the_last_value_stays():
    source, now = Source(), [100.0]
    reading = Reading(source, 10, clock=lambda: now[0])
    await reading.get(5)
    source.wrong, now[0] = OSError("private"), 120.0
    await reading.get()
    await settled(reading)
    found = await reading.get()
    assert (found.value, found.at, found.failed) == (1, 100.0, "OSError")
    source.wrong, now[0] = None, 140.0
    await reading.get()
    await settled(reading)
    assert (await reading.get()).failed is None


async def test_a_read_that_never_ends_is_given_up():
    source = Source()
    source.go.clear()
    reading = Reading(source, 10, longest_s=0.01)
    await reading.get(5)
    await settled(reading)
    assert (await reading.get()).failed == "TimeoutError"
