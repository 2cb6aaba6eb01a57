"""Health: what parts make of a role, who is stalled, and when the process is to be ended."""

import threading
from types import SimpleNamespace

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.errors import Retry, Stalled
from endocrine.pipeline.runtime.worker.main import run_worker
from endocrine.pipeline.runtime.worker.stalls import Seen, StallDetector
from endocrine.pipeline.runtime.worker.watch import STALLED, Watch, end_when_hung
from endocrine.pipeline.views.metrics.health import Health, Part, polling_health
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.pipeline.views.metrics.serve import answer

SETTINGS = Settings(stall_unready_s=60, stall_exit_s=300)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Manager:
    """A manager of two processors, of which the test says how far they are."""

    def __init__(self):
        self.agents = {agent.name: agent for agent in AGENTS}
        self.processors = {("gating", 0): None, ("bonds", 0): None}
        self.running = True
        self.resumed = threading.Event()
        self.resumed.set()
        self.seen = {"gating/0": Seen(1, 0), "bonds/0": Seen(1, 0)}
        self.away = False

    async def progress(self):
        if self.away:
            raise Retry("no answer")
        return self.seen


@pytest.fixture
def world():
    clock, manager, stalls, metrics = Clock(), Manager(), [], Metrics(["gating", "bonds"], [])
    return SimpleNamespace(
        clock=clock,
        manager=manager,
        stalls=stalls,
        metrics=metrics,
        watch=Watch(SETTINGS, manager, stalls.append, metrics, clock=clock),
    )


async def looked(world, *, after=0.0):
    """What a probe is answered after so many seconds with a look every ten."""
    while after > 10:
        world.clock.now, after = world.clock.now + 10, after - 10
        await world.watch.look()
    world.clock.now += after
    world.watch.beat()
    await world.watch.look()
    return answer("/readyz", world.metrics.roles)


async def test_a_worker_at_rest_is_ready_and_says_what_each_part_does(world):
    status, shown = await looked(world)
    assert (status, shown["status"]) == (200, "ready")
    parts = shown["roles"]["worker"]["parts"]
    assert set(parts) == {"broker", "assignment", "recovery", "progress", "lag"}
    assert parts["assignment"] == {"status": "ok", "partitions": 1}


async def test_a_worker_is_not_ready_before_its_first_look_or_while_it_recovers(world):
    assert answer("/readyz", world.metrics.roles)[0] == 503
    world.manager.running = False
    status, shown = await looked(world)
    assert status == 503
    assert shown["roles"]["worker"]["parts"]["recovery"] == {"status": "waiting", "recovering": 2}


async def test_a_partition_with_records_and_without_steps_makes_the_worker_unready_and_later_ends_it(world):
    world.manager.seen["gating/0"] = Seen(1, 12)
    assert (await looked(world))[0] == 200
    status, shown = await looked(world, after=61)
    assert status == 503
    assert shown["roles"]["worker"]["parts"]["progress"]["stalled"] == ["gating/0"]
    assert shown["roles"]["worker"]["parts"]["lag"]["records"] == 12
    assert world.stalls == []
    await looked(world, after=240)
    assert isinstance(world.stalls[0], Stalled)
    assert str(world.stalls[0]).startswith("gating/0 has 12 records to read and took no step for 301 s")


async def test_a_step_ends_the_stall(world):
    world.manager.seen["gating/0"] = Seen(1, 12)
    await looked(world)
    await looked(world, after=61)
    world.manager.seen["gating/0"] = Seen(2, 11)
    assert (await looked(world, after=1))[0] == 200


async def test_a_partition_with_nothing_to_read_never_stalls(world):
    await looked(world)
    assert (await looked(world, after=10_000))[0] == 200
    world.manager.seen["gating/0"] = Seen(1, 1)
    assert (await looked(world, after=10))[0] == 200
    assert world.stalls == []


async def test_a_partition_whose_last_records_turn_out_to_be_none_has_not_stalled(world):
    """Markers of transactions take offsets; they are passed without a step."""
    world.manager.seen["gating/0"] = Seen(1, 1)
    await looked(world)
    assert (await looked(world, after=61))[0] == 503
    world.manager.seen["gating/0"] = Seen(1, 0)
    assert (await looked(world, after=1))[0] == 200


async def test_a_broker_that_does_not_answer_makes_the_worker_unready_and_stalls_nothing(world):
    world.manager.seen["gating/0"] = Seen(1, 12)
    await looked(world)
    world.manager.away = True
    status, shown = await looked(world, after=1000)
    assert status == 503
    assert shown["roles"]["worker"]["parts"]["broker"]["status"] == "failed"
    world.manager.away = False
    assert (await looked(world, after=50))[0] == 200
    assert world.stalls == []


async def test_a_process_that_was_paused_has_not_stalled(world):
    world.manager.seen["gating/0"] = Seen(1, 12)
    await looked(world)
    world.clock.now += 1000
    world.watch.beat()
    await world.watch.look()
    assert answer("/readyz", world.metrics.roles)[0] == 200
    assert world.stalls == []


async def test_lag_and_commit_age_are_counted_by_agent(world):
    world.manager.seen = {"gating/0": Seen(1, 5), "gating/1": Seen(1, 7), "bonds/0": Seen(1, 0)}
    await looked(world)
    world.manager.seen["gating/1"] = Seen(2, 7)
    await looked(world, after=30)
    value = world.metrics.registry.get_sample_value
    assert value("endocrine_lag_records", {"agent": "gating"}) == 12
    assert value("endocrine_commit_age_seconds", {"agent": "gating"}) == 30
    assert value("endocrine_commit_age_seconds", {"agent": "bonds"}) == 0
    assert 0 <= value("endocrine_idle_ratio") <= 1


def test_a_processor_that_is_given_away_is_forgotten():
    stalls = StallDetector()
    stalls.observe(0, {"gating/0": Seen(1, 5)})
    stalls.observe(50, {})
    stalls.observe(90, {"gating/0": Seen(1, 5)})
    assert stalls.ages() == {"gating/0": 0}


def test_an_event_loop_that_hangs_is_not_live_and_ends_the_process_with_the_code_of_a_stall(world):
    ended = threading.Event()
    codes = []

    def end(code):
        codes.append(code)
        ended.set()

    world.clock.now += 301
    assert answer("/livez", world.metrics.roles)[0] == 503
    over = end_when_hung(world.watch, every_s=0.001, end=end)
    assert ended.wait(30)
    over.set()
    assert codes == [STALLED]


async def test_the_exit_code_says_that_a_worker_stalled():
    async def run():
        pass

    for failure, code in ((None, 0), (RuntimeError(), 1), (Stalled("gating/0"), 3)):
        worker = SimpleNamespace(failure=failure, run=run, stop=lambda: None, loops=lambda: {})
        assert await run_worker(worker) == code


def test_a_role_that_polls_is_ready_once_it_was_given_partitions_and_while_its_loop_comes_round(monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.views.metrics.health.time", SimpleNamespace(monotonic=lambda: 1000.0))
    assert polling_health(999.0, SETTINGS, ready=True).ready
    assert not polling_health(999.0, SETTINGS, ready=False).ready
    late = polling_health(900.0, SETTINGS, ready=True)
    assert (late.ready, late.live) == (False, True)
    assert not polling_health(600.0, SETTINGS, ready=True).live


def test_a_process_is_ready_when_all_its_roles_are_and_never_without_one():
    good, bad = Health({"progress": Part("ok")}), Health({"progress": Part("failed")})
    assert answer("/readyz", {"model": lambda: good})[0] == 200
    assert answer("/readyz", {"model": lambda: good, "tools": lambda: bad})[0] == 503
    assert answer("/readyz", {})[0] == 503
    assert answer("/metrics", {"model": lambda: good}) is None
