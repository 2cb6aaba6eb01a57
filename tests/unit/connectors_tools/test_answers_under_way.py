"""An answer that was handed to the broker when its partition went is on record before the partition is read again."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from endocrine.pipeline.connectors import effect_runner as effects
from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.effect_runner import EffectRunner
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.settings import Settings
from waiting import turns_of_the_loop

TASK = {"call_id": "c", "audit_id": "t", "identity": "ann", "when": "noon", "note": "n", "ts": 1.0}


class SlowProducer:
    """Takes a record at once; the broker has it when `landed` is set."""

    def __init__(self) -> None:
        self.landed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def send(self, *record: Any, **named: Any) -> "asyncio.Future[Any]":
        return self.landed


class Silent:
    """An effect that asks for nothing."""

    name, requests, answers = "tools", "tool-decisions", "tool-results"

    def request_id(self, value: dict[str, Any]) -> str | None:
        return None


@pytest.fixture
async def runner() -> EffectRunner:
    runner = EffectRunner(Settings(), Silent())  # type: ignore[arg-type]
    runner._producer = SlowProducer()  # type: ignore[assignment]
    runner._consumer = SimpleNamespace(assignment=set)
    return runner


def taken(runner: EffectRunner, partition: int) -> "asyncio.Task[None]":
    """Take what has arrived of a partition; ends when it was read back."""
    held = runner._held[partition]
    runner._take(held)
    assert held.reading is not None
    return held.reading


async def test_a_partition_that_comes_back_is_read_back_after_what_was_under_way(
    runner: EffectRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    async def read_back(*asked: Any) -> Any:
        read.append("landed" if runner._producer.landed.done() else "still under way")
        return SimpleNamespace()

    monkeypatch.setattr(effects, "read_back", read_back)
    saying = asyncio.create_task(
        runner._send(Request(TASK, "ann", 3, 0, 0.0), EffectRecord("scheduled-tasks", TASK), "id")
    )
    await asyncio.sleep(0)
    saying.cancel()
    await asyncio.wait([saying])
    assert saying.cancelled()

    runner._held[3] = effects._PartitionWork(3)
    runner._held[3].arrived = [Fetched(3, 0, 1000, b"ann", b"{}")]
    taking = taken(runner, 3)
    await turns_of_the_loop()
    assert read == []
    runner._producer.landed.set_result(SimpleNamespace(offset=7))
    await taking
    await asyncio.gather(*runner._held[3].tasks)
    assert read == ["landed"]
    assert not runner._flying[3]


async def test_an_answer_that_fails_after_its_effect_was_cancelled_holds_up_nobody(
    runner: EffectRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_back(*asked: Any) -> Any:
        return SimpleNamespace()

    monkeypatch.setattr(effects, "read_back", read_back)
    saying = asyncio.create_task(
        runner._send(Request(TASK, "ann", 3, 0, 0.0), EffectRecord("scheduled-tasks", TASK), "id")
    )
    await asyncio.sleep(0)
    saying.cancel()
    await asyncio.wait([saying])
    runner._producer.landed.set_exception(OSError("gone"))
    runner._held[3] = effects._PartitionWork(3)
    runner._held[3].arrived = [Fetched(3, 0, 1000, b"ann", b"{}")]
    await asyncio.wait_for(taken(runner, 3), 5)
    await asyncio.gather(*runner._held[3].tasks)
    assert runner._held[3].position.next_offset == 1
