"""Faust's recovery loop is ours: one takeover per assignment, whatever became of the one before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.worker import recovery as module
from endocrine.pipeline.runtime.worker.app import build_app
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager

Takeover = Callable[[], Awaitable[bool]]


class Units:
    """A body whose takeovers go as told: one entry each, the last one for all that follow."""

    def __init__(self, *takeovers: Takeover) -> None:
        self.takeovers = list(takeovers)
        self.begun = 0
        self.stopped = 0
        self.resumed = asyncio.Event()
        self.failures: list[BaseException] = []
        self.agents: dict[str, Any] = {}

    async def recover(self, assigned: object) -> bool:
        self.begun += 1
        takeover = self.takeovers.pop(0) if len(self.takeovers) > 1 else self.takeovers[0]
        return await takeover()

    async def stop_processors(self) -> None:
        self.stopped += 1

    def resume(self) -> None:
        self.resumed.set()

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)


class Consumer:
    """What recovery asks of Faust's consumer."""

    def assignment(self) -> set[Any]:
        return set()

    def resume_partitions(self, places: object) -> None: ...

    def resume_flow(self) -> None: ...

    async def perform_seek(self) -> None: ...


async def done() -> bool:
    return True


async def ended_by_a_revocation() -> bool:
    return False


async def for_ever() -> bool:
    await asyncio.Event().wait()
    return True


async def partition_gone() -> bool:
    raise IllegalStateError("no longer assigned")


async def broken() -> bool:
    raise ZeroDivisionError("a bug")


class Assignments:
    """Faust's side: says when there is a new assignment."""

    def __init__(self, recovery: Any) -> None:
        self.recovery = recovery

    def come(self) -> None:
        self.recovery.app.consumer_generation_id += 1
        self.recovery._generation_id = self.recovery.app.consumer_generation_id
        self.recovery.signal_recovery_start.set()


@pytest.fixture
async def recovering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[Units], Any]]:
    """Start recovery with these units; stopped at the end."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    started: list[Any] = []

    async def start(processors: Units) -> Assignments:
        app: Any = build_app(Settings(data_dir=tmp_path), processors, worker_id="w")  # type: ignore[arg-type]
        app.consumer_generation_id = 0
        app._consumer = Consumer()
        app._fetcher = SimpleNamespace(maybe_start=done)
        await app.tables.recovery.start()
        started.append(app.tables.recovery)
        return Assignments(app.tables.recovery)

    yield start
    for recovery in started:
        await recovery.stop()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("first", [ended_by_a_revocation, for_ever, partition_gone], ids=lambda first: first.__name__)
async def test_the_next_assignment_is_taken_over_whatever_became_of_the_one_before(
    recovering: Any, first: Takeover
) -> None:
    processors = Units(first, done)
    faust = await recovering(processors)
    faust.come()
    await soon(lambda: processors.begun >= 1)
    faust.come()
    await asyncio.wait_for(processors.resumed.wait(), 10)
    assert not processors.failures


async def test_a_takeover_under_way_is_stopped_in_order_when_the_next_assignment_comes(recovering: Any) -> None:
    processors = Units(for_ever, done)
    faust = await recovering(processors)
    faust.come()
    await soon(lambda: processors.begun == 1)
    assert processors.stopped == 0
    faust.come()
    await asyncio.wait_for(processors.resumed.wait(), 10)
    assert processors.stopped == 1


async def test_a_takeover_that_the_broker_did_not_let_through_is_tried_again_without_a_new_assignment(
    recovering: Any,
) -> None:
    processors = Units(partition_gone, partition_gone, done)
    faust = await recovering(processors)
    faust.come()
    await asyncio.wait_for(processors.resumed.wait(), 10)
    assert processors.begun == 3


async def test_a_takeover_that_fails_for_another_reason_stops_the_worker(recovering: Any) -> None:
    processors = Units(broken)
    faust = await recovering(processors)
    faust.come()
    await soon(lambda: bool(processors.failures))
    assert [type(error) for error in processors.failures] == [ZeroDivisionError]


async def test_units_stopped_while_they_take_over_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = asyncio.Event()
    monkeypatch.setattr(PartitionProcessor, "recover", lambda self: waits.wait())
    errors: list[BaseException] = []
    settings = Settings(data_dir=tmp_path)
    broker: Any = SimpleNamespace(client_id="w", settings=settings, keys=None)
    body = ProcessorManager(settings, AGENTS, broker, lambda: None, "v", simulated_seals(), errors.append)  # type: ignore[arg-type, return-value]
    body.consumer = SimpleNamespace(_thread=SimpleNamespace(_consumer=None))
    taking = asyncio.create_task(body.recover([SimpleNamespace(topic="interactions", partition=1)]))
    await soon(lambda: bool(body.processors))
    with suppress(asyncio.CancelledError):
        await body.stop_processors()
    assert await asyncio.wait_for(taking, 10) is False
    assert not errors
