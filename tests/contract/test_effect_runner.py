"""The effect runner over a broker: once, in whatever order, and what must not run twice does not."""

import asyncio
import uuid
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from effects import TOY, answers, produce, running
from endocrine.pipeline.connectors import effect_runner
from endocrine.pipeline.connectors.contract import INTERRUPTED, EffectRecord, Request
from endocrine.pipeline.connectors.readback import read_back
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.settings import Settings

pytestmark = pytest.mark.usefixtures("only_needed_topics")


def a_request(identity: str = "ann") -> dict[str, Any]:
    return {
        "request_id": f"r-{uuid.uuid4().hex}",
        "audit_id": "t1",
        "identity": identity,
        "step": 1,
        "model": "none",
        "messages": [],
        "tools": [],
        "parameters": {},
        "dropped": [],
        "deadline_ms": 10_000,
        "ts": 1_700_000_000.0,
    }


class Once:
    """An effect that must not run twice; it hangs until it is let go."""

    name = TOY
    requests = "model-requests"
    answers = "model-replies"

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.going = asyncio.Event()

    def request_id(self, value: dict[str, Any]) -> str | None:
        return str(value["request_id"])

    def answer_id(self, value: dict[str, Any]) -> str | None:
        return value.get("request_id")

    def repeatable(self, value: dict[str, Any]) -> bool:
        return False

    async def run(self, request: Request) -> list[EffectRecord]:
        self.ran.append(request.value["request_id"])
        await self.going.wait()
        return self._reply(request, "ok", None)

    def failed(self, request: Request, error: str) -> list[EffectRecord]:
        return self._reply(request, "error", error)

    def _reply(self, request: Request, status: str, error: str | None) -> list[EffectRecord]:
        value = {name: request.value[name] for name in ("request_id", "audit_id", "identity", "step")}
        reply = {
            **value,
            "status": status,
            "content": None,
            "tool_calls": [],
            "finish_reason": None,
            "usage": None,
            "model": "none",
            "latency_ms": 0.0,
            "error": error,
            "ts": request.ts_now(),
        }
        return [EffectRecord("model-replies", reply)]


async def test_what_must_not_run_twice_is_answered_as_interrupted_by_the_successor(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await ensure_topics(settings, ["conversation"])
    effect = Once()
    asked = a_request()
    async with running(settings, effect, drain_s=0.2):
        await produce(settings, "model-requests", asked)
        async with asyncio.timeout(120):
            while not effect.ran:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        # It is stopped here, in the middle: cancelled without an answer.
    effect.going.set()
    other = a_request()
    async with running(settings, effect):
        await produce(settings, "model-requests", other)
        found = await answers(settings, "model-replies", 2, more_s=0.5)
    values = {value["request_id"]: value for value in (orjson.loads(raw.value) for raw in found)}
    assert effect.ran == [asked["request_id"], other["request_id"]]
    assert (values[asked["request_id"]]["status"], values[asked["request_id"]]["error"]) == ("error", INTERRUPTED)
    assert values[other["request_id"]]["status"] == "ok"
    assert len(found) == 2


async def test_two_runners_share_the_partitions_and_nothing_runs_twice(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    await ensure_topics(settings, ["conversation"])
    first, second = Once(), Once()
    first.going.set()
    second.going.set()
    asked = [a_request(f"user-{number}") for number in range(60)]
    async with running(settings, first):
        await produce(settings, "model-requests", *asked[:20])
        async with running(settings, second):
            await produce(settings, "model-requests", *asked[20:40])
            await answers(settings, "model-replies", 40)
        await produce(settings, "model-requests", *asked[40:])
        found = await answers(settings, "model-replies", 60, more_s=0.5)
    values = [orjson.loads(raw.value) for raw in found]
    wanted = sorted(one["request_id"] for one in asked)
    assert sorted(first.ran + second.ran) == wanted
    assert sorted(value["request_id"] for value in values) == wanted
    assert {value["status"] for value in values} == {"ok"}


async def test_a_full_partition_waits_and_loses_nothing(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await ensure_topics(settings, ["conversation"])
    effect = Once()
    asked = [a_request() for _ in range(50)]
    async with running(settings, effect, concurrency=2, waiting=4):
        await produce(settings, "model-requests", *asked)
        async with asyncio.timeout(120):
            while len(effect.ran) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(effect.ran) == 2
        effect.going.set()
        found = await answers(settings, "model-replies", 50, more_s=0.3)
    assert sorted(orjson.loads(raw.value)["request_id"] for raw in found) == sorted(one["request_id"] for one in asked)


async def test_what_is_no_request_is_passed_over(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    await ensure_topics(settings, ["conversation"])
    effect = Once()
    effect.going.set()
    good = a_request()
    async with running(settings, effect):
        await produce(settings, "model-requests", {"identity": "ann"}, good)
        (found,) = await answers(settings, "model-replies", 1, more_s=0.3)
    assert orjson.loads(found.value)["request_id"] == good["request_id"]


class Again(Once):
    """The same, which may run twice: no start mark keeps it from that."""

    def repeatable(self, value: dict[str, Any]) -> bool:
        return True


class ReadBackLater:
    """Reading back, of which the first partition's waits until it is let go."""

    def __init__(self) -> None:
        self.held: int | None = None
        self.going = asyncio.Event()

    async def __call__(self, settings: Settings, effect: Any, partition: int, since_ms: int, seals: Any) -> Any:
        if self.held is None:
            self.held = partition
        if self.held == partition:
            await self.going.wait()
        return await read_back(settings, effect, partition, since_ms, seals)


def one_of_each_partition(settings: Settings) -> list[dict[str, Any]]:
    named = {partition_of(name, settings.partitions): name for name in (f"user-{number}" for number in range(100))}
    return [a_request(name) for name in named.values()]


async def test_a_partition_that_is_read_back_holds_up_no_other(
    settings: Settings, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(settings, ["conversation"])
    reading = ReadBackLater()
    monkeypatch.setattr(effect_runner, "read_back", reading)
    effect = Once()
    effect.going.set()
    asked = one_of_each_partition(settings)
    async with running(settings, effect):
        await produce(settings, "model-requests", *asked)
        found = await answers(settings, "model-replies", len(asked) - 1, more_s=0.3)
        assert len(found) == len(asked) - 1
        assert reading.held not in {raw.partition for raw in found}
        reading.going.set()
        assert len(await answers(settings, "model-replies", len(asked))) == len(asked)


async def test_a_runner_stops_while_it_reads_back_and_runs_nothing_afterwards(
    settings: Settings, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(settings, ["conversation"])
    reading = ReadBackLater()
    monkeypatch.setattr(effect_runner, "read_back", reading)
    effect = Again()
    asked = a_request()
    async with running(settings, effect):
        await produce(settings, "model-requests", asked)
        async with asyncio.timeout(120):
            while reading.held is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert effect.ran == []
    reading.going.set()
    effect.going.set()
    async with running(settings, effect):
        assert len(await answers(settings, "model-replies", 1, more_s=0.3)) == 1
    assert effect.ran == [asked["request_id"]]
