"""A batch is thought while the one before is checkpointed, and checkpointed while that one is produced."""

import asyncio
import re
from types import SimpleNamespace

import pytest

from endocrine.pipeline.core.checkpoint import OUTBOX_SLOTS
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.worker.kafka_broker_port import KafkaBrokerPort
from waiting import turns_of_the_loop


def rested(world, **options):
    life = world.life(world.processor(**options))
    world.rest(life)
    life.close()
    states = {entry.key: entry.value for entry in world.log.ever if entry.key.startswith(b"s")}
    return world.said(), world.values("out"), states


def test_what_is_said_and_remembered_does_not_depend_on_thinking_ahead(world):
    other = type(world)()
    for number in range(9):
        for one in (world, other):
            one.send("in", f"a{number}", identity="ann" if number % 2 else "bob")
    plain = rested(world, max_records=2)
    assert rested(other, max_records=2, ahead=1) == plain
    assert len(plain[0]) == 9


def test_batches_are_thought_while_others_are_written_and_each_is_spoken_whole_before_the_next(world):
    for number in range(20):
        world.send("in", f"a{number}")
    processor = world.processor(max_records=2, ahead=1)
    thought_beside = []
    fit = processor._prepare

    def watched(*arguments):
        thought_beside.append(processor._written is not None)
        return fit(*arguments)

    processor._prepare = watched
    life = world.life(processor)
    world.rest(life)
    life.close()
    assert thought_beside.count(True) >= 5
    did = [event[2].topic if event[1] == "produces" else event[1] for event in world.broker.trace if event[0] == "u1"]
    steps = "".join({"epoch at": "c", "checkpoints at": "R", "out": "o", "journal": "j"}[one] for one in did)
    assert re.fullmatch("c(o+j)+", steps.replace("R", ""))
    assert "RR" in steps  # checkpointed before the one before is produced
    for at, step in enumerate(steps):
        checkpointed, whole = steps[: at + 1].count("R"), steps[:at].count("j")
        assert checkpointed - whole <= OUTBOX_SLOTS
        assert step not in "oj" or checkpointed > whole


def test_a_zombie_forgets_what_it_thought_ahead(world):
    for number in range(4):
        world.send("in", f"a{number}")
    zombie = world.life(world.processor(max_records=2, ahead=1))
    world.until(zombie, "epoch at")
    owner = world.life(world.processor(max_records=2, ahead=1))
    world.rest(owner)
    with pytest.raises(Fenced):
        world.rest(zombie)
    owner.close()
    assert world.said() == [f"echo/a{number}/0" for number in range(4)]


# ---- on asyncio ----


async def process(log, *, fail=None, slow=0):
    for _ in range(slow):
        await turns_of_the_loop(5)
    log.append("thought")
    if fail:
        raise fail
    return "next"


async def write(log, *, fail=None, steps=3):
    log.append("begun")
    for _ in range(steps):
        await turns_of_the_loop(5)
    if fail:
        raise fail
    log.append("written")


@pytest.fixture
def port():
    return object.__new__(KafkaBrokerPort)


async def test_writing_is_begun_before_thinking(port):
    log = []
    assert await port.run_concurrently(write(log), process(log)) == "next"
    assert log == ["begun", "thought", "written"]


async def test_when_thinking_fails_what_is_being_written_is_finished_first(port):
    log = []
    with pytest.raises(Retry):
        await port.run_concurrently(write(log), process(log, fail=Retry("later")))
    assert log == ["begun", "thought", "written"]


async def test_when_writing_fails_thinking_is_given_up(port):
    log = []
    with pytest.raises(Fatal):
        await port.run_concurrently(write(log, fail=Fatal("gone")), process(log, slow=1000))
    assert log == ["begun"]


async def test_when_both_fail_the_failure_of_writing_is_told(port):
    log = []
    with pytest.raises(Fenced):
        await port.run_concurrently(write(log, fail=Fenced("newer")), process(log, fail=Retry("later")))


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_caller_is_cancelled_only_when_the_write_is_finished(port, turns):
    log = []
    task = asyncio.create_task(port.run_concurrently(write(log, steps=5), process(log, slow=2)))
    for _ in range(turns + 2):
        await asyncio.sleep(0)
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log[-1] == "written"


# ---- in the background, on asyncio ----


@pytest.fixture
def real():
    broker = SimpleNamespace(settings=SimpleNamespace(prefix="endocrine."))
    return KafkaBrokerPort(broker, "echo", 0, ("in",), on_pressure=lambda high: None, buffer_bytes=1)


def never():
    return False


async def test_what_goes_on_in_the_background_is_waited_for_and_its_failure_seen(real):
    done = []

    async def works():
        await turns_of_the_loop(5)
        done.append("worked")

    async def fails():
        await turns_of_the_loop(5)
        raise Fatal("gone")

    await real.finish(real.start(works), never)
    assert done == ["worked"]
    with pytest.raises(Fatal, match="gone"):
        await real.finish(real.start(fails), never)


async def test_a_commit_is_enough_where_it_is(real):
    async def commits_and_goes_on():
        await turns_of_the_loop(5)
        await real.commit({"in": 7})
        await asyncio.Event().wait()

    background = real.start(commits_and_goes_on)
    await real.finish(background, lambda: real.done("in") == 7)
    assert not background.done()
    background.cancel()


async def test_a_failure_in_the_background_ends_a_fetch(real):
    async def fails():
        await turns_of_the_loop(5)
        raise Fatal("gone")

    background = real.start(fails)
    real._next_look = lambda: asyncio.get_running_loop().time() + 3600
    assert await real.fetch(wait=True) == ()
    assert await real.fetch(wait=True) == ()  # until somebody has seen it
    with pytest.raises(Fatal, match="gone"):
        await real.finish(background, never)


async def test_what_is_in_the_background_goes_on_when_who_waits_for_it_is_cancelled(real):
    go, done = asyncio.Event(), []

    async def works():
        await go.wait()
        done.append("worked")

    background = real.start(works)
    waiting = asyncio.create_task(real.finish(background, never))
    await turns_of_the_loop(3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await real.finish(background, never)
    assert done == ["worked"]
