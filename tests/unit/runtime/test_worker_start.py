"""A worker that aiokafka leaves out of the group ends, also before it ever had a partition."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import UnknownError

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker.main import Worker
from waiting import until


class Waiting:
    """A Faust application whose start waits for an assignment that never comes."""

    def __init__(self, coordinator: Any) -> None:
        self.consumer = SimpleNamespace(_thread=None)
        self._coordinator = coordinator

    def finalize(self) -> None:
        pass

    async def start(self) -> None:
        self.consumer._thread = SimpleNamespace(_consumer=SimpleNamespace(_coordinator=self._coordinator))
        await asyncio.Event().wait()


class Joining:
    """A coordinator that is still joining; counts how often that was looked at."""

    _pending_exception = None

    def __init__(self) -> None:
        self.looks = 0
        self._future = asyncio.get_running_loop().create_future()

    @property
    def _coordination_task(self) -> "asyncio.Future[None]":
        self.looks += 1
        return self._future


class Broker:
    async def start(self) -> None:
        pass


async def nothing_to_follow(broker: Any) -> None:
    pass


def starting(coordinator: Any) -> tuple[Worker, "asyncio.Task[None]"]:
    worker = Worker(Settings(commit_interval_s=0.01), AGENTS, shipped_policy())
    worker._follow = nothing_to_follow  # type: ignore[method-assign]
    body: Any = SimpleNamespace(consumer=None)
    broker: Any = Broker()
    app: Any = Waiting(coordinator)
    return worker, asyncio.create_task(worker._live(app, body, broker))


async def test_a_join_that_the_broker_refused_ends_a_worker_that_waits_for_its_first_assignment() -> None:
    joining = asyncio.get_running_loop().create_future()
    worker, start = starting(SimpleNamespace(_coordination_task=joining, _pending_exception=UnknownError()))
    await asyncio.wait_for(start, 5)
    assert "left the group: UnknownError" in str(worker.failure)


async def test_a_worker_that_is_still_joining_goes_on_waiting() -> None:
    joining = Joining()
    worker, start = starting(joining)
    await until(lambda: joining.looks > 3)
    assert not start.done()
    worker.stop()
    await asyncio.wait_for(start, 5)
    assert worker.failure is None
