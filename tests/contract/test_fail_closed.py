"""With the gate down no tool runs: a call fails closed at its deadline, and stays so when the gate comes back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from effects import answers, produce, running
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.timers import Timekeeper
from endocrine.pipeline.connectors.tools.check import Entry, unallowed_results
from endocrine.pipeline.connectors.tools.handler import Answer, Call
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.connectors.waits import waits_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.settings import Settings
from running import WorkerChild, worker_in_process
from tooling import ScriptedModel, entries_of

OVERLAY = {
    "conversation": {
        "waits": {"decision_ms": 1500, "result_ms": 20_000, "modulation_ms": 20_000, "reply_ms": 20_000},
        "retrieval": {"enabled": False},
    }
}


class Probe:
    """A handler that notes what it ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def run(self, call: Call) -> Answer:
        self.ran.append(call.call_id)
        return Answer({"snippets": [{"source": "a.md", "text": "The moon causes tides."}]})

    async def close(self) -> None:
        pass


def opened(audit_id: str, *, respond: bool = True, who: str = "ann") -> dict[str, Any]:
    turn = {"kind": "opened", "audit_id": audit_id, "identity": who, "session_id": "s", "turn": 0, "client": "test"}
    return {**turn, "prompt": "What causes the tides of the sea?", "respond": respond, "ts": time.time()}


@pytest.fixture
async def settled(settings: Settings, admin: AIOKafkaAdminClient, tmp_path: Path) -> Settings:
    policy = tmp_path / "policy.yaml"
    policy.write_bytes(orjson.dumps(OVERLAY))
    settings = settings.model_copy(update={"policy": policy, "partitions": 2, "instance": "one"})
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    return settings


@asynccontextmanager
async def connectors(settings: Settings) -> AsyncIterator[tuple[Probe, ScriptedModel]]:
    """Tools with a probe, a scripted model, and the timekeeper."""
    policy = load_policy(settings.policy)
    probe, model = Probe(), ScriptedModel()
    effect = tool_effect(settings, policy, ToolSettings(calls="all"))
    effect._handlers = {"retrieval": probe}
    timekeeper = Timekeeper(settings, waits_of(policy))
    keeping = asyncio.create_task(timekeeper.run())
    async with running(settings, effect), running(settings, model):
        await asyncio.wait_for(timekeeper.ready.wait(), 30)
        yield probe, model
        timekeeper.stop()
        await keeping
    await effect.close()
    assert timekeeper.failure is None, timekeeper.failure


async def entries(settings: Settings, topic: str, count: int, **more: Any) -> list[Entry]:
    return entries_of(await answers(settings, topic, count, **more))


async def closing(settings: Settings, turns: int) -> list[dict[str, Any]]:
    """How the turns ended, when all have."""
    found = await entries(settings, "interactions", 2 * turns, more_s=0.5)
    return [dict(value) for _, value in found if value["kind"] == "closed"]


async def test_with_the_gate_running_the_tool_runs_and_the_answer_follows(settled: Settings) -> None:
    policy = load_policy(settled.policy)
    async with worker_in_process(settled, AGENTS, policy), connectors(settled) as (probe, model):
        await produce(settled, "interactions", *(opened(f"turn-{n}", who=f"p{n}") for n in range(5)))
        ended = await closing(settled, 5)
    assert [turn["finish"] for turn in ended] == ["answered"] * 5
    assert len(probe.ran) == 5
    assert len(model.asked) == 10
    decisions = await entries(settled, "tool-decisions", 5)
    assert unallowed_results(decisions, await entries(settled, "tool-results", 5)) == []


async def test_with_the_gate_gone_no_tool_runs_and_the_turn_goes_on_without_it(settled: Settings) -> None:
    policy = load_policy(settled.policy)
    others = [agent for agent in AGENTS if agent.name != "gating"]
    async with worker_in_process(settled, others, policy), connectors(settled) as (probe, model):
        await produce(settled, "interactions", opened("turn-0"))
        (ended,) = await closing(settled, 1)
        ticks = await entries(settled, "commands", 1)
    assert ended["finish"] == "answered"
    assert probe.ran == []
    assert await entries(settled, "tool-results", 0, more_s=0.5) == []
    assert "go on without it" in orjson.dumps(model.asked[1]["messages"]).decode()
    call = (await entries(settled, "tool-calls", 1))[0].value
    first = ticks[0].value
    assert (first["kind"], first["by"], first["identity"]) == ("tick", "timekeeper", "ann")
    assert first["ts"] == call["ts"] + 1.5


@pytest.mark.slow
async def test_a_gate_that_was_killed_and_comes_back_too_late_runs_nothing(settled: Settings, tmp_path: Path) -> None:
    child = WorkerChild(settled, tmp_path / "worker.log")
    await child.start()
    try:
        async with connectors(settled) as (probe, _):
            await produce(settled, "interactions", opened("turn-0", respond=False))
            await entries(settled, "modulations", 1)
            await child.end(signal.SIGKILL)
            call = {"call_id": "c1", "audit_id": "turn-0", "identity": "ann", "tool": "retrieve_knowledge", "step": 1}
            await produce(settled, "tool-calls", {**call, "arguments": {"query": "tides"}, "ts": time.time()})
            assert await entries(settled, "tool-results", 0, more_s=2.0) == []
            await child.start()
            (decision,) = await entries(settled, "tool-decisions", 1)
            (result,) = await entries(settled, "tool-results", 1)
    finally:
        await child.end()
    assert decision.value["decision"] == "allowed"
    assert result.value["status"] == "error"
    assert "after it was asked" in result.value["output"]["error"]
    assert probe.ran == []
