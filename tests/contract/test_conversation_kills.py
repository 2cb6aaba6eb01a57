"""Worker and tool connector killed in the middle of conversations: each turn ends once, no tool runs twice."""

import asyncio
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from effects import answers, produce, running
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.tools.check import repeated_results, unallowed_results
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.settings import Settings
from running import WorkerChild
from tooling import SPEC, ConnectorChild, ScriptedModel, entries_of, service
from waiting import until, until_answer

pytestmark = pytest.mark.slow

TURNS = 16
OVERLAY = {
    "tools": {"probe": {**SPEC, "function": "probe_it", "idempotent": False}},
    "bounds": {"tool_allowlist": ["search", "code_exec", "browser", "retrieval", "scheduler", "probe"]},
    "defaults": {"tool_allowlist": ["retrieval", "probe"]},
    "conversation": {
        "waits": {"decision_ms": 60_000, "result_ms": 60_000, "modulation_ms": 60_000, "reply_ms": 60_000},
        "retrieval": {"enabled": False},
    },
}


def opened(n: int) -> dict[str, Any]:
    turn = {"kind": "opened", "audit_id": f"turn-{n}", "identity": f"p{n % 5}", "session_id": f"s{n}", "turn": 0}
    return {**turn, "client": "test", "prompt": "What causes the tides of the sea?", "respond": True, "ts": time.time()}


async def test_killed_in_the_middle_every_turn_ends_once_and_no_tool_runs_twice(
    settings: Settings, admin: AIOKafkaAdminClient, tmp_path: Path
) -> None:
    rng = random.Random(5)
    policy = tmp_path / "policy.yaml"
    policy.write_bytes(orjson.dumps(OVERLAY))
    settings = settings.model_copy(update={"policy": policy, "partitions": 2, "instance": "one"})
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    asked: list[str] = []
    model = ScriptedModel("probe_it", pause_s=0.1)
    worker = WorkerChild(settings, tmp_path / "worker.log")
    async with service(asked, 0.3) as url, running(settings, model):
        tools = ConnectorChild(settings, tmp_path / "connector.log", url)
        await worker.start()
        await tools.start()
        try:
            for n in range(TURNS):
                await produce(settings, "interactions", opened(n))
                await asyncio.sleep(rng.uniform(0, 0.4))
                if n in (5, 11):
                    await worker.end(signal.SIGKILL)
                    await worker.start()
                if n in (7, 13):
                    await _until(asked, len(asked) + 1)
                    await tools.end(signal.SIGKILL)
                    await tools.start()
            closed = await _closings(settings)
            results = entries_of(await answers(settings, "tool-results", 0, more_s=1.0))
            decisions = entries_of(await answers(settings, "tool-decisions", TURNS))
        finally:
            await worker.end()
            await tools.end()
    assert {turn["audit_id"] for turn in closed} == {f"turn-{n}" for n in range(TURNS)}
    assert max(Counter(turn["audit_id"] for turn in closed).values()) == 1, "a turn ended twice, in two ways"
    assert {turn["finish"] for turn in closed} == {"answered"}
    assert [name for name, times in Counter(asked).items() if times > 1] == [], "a tool ran twice"
    assert unallowed_results(decisions, results) == []
    assert repeated_results(results) == []
    requests = Counter(request["request_id"] for request in model.asked)
    assert max(requests.values()) == 1, "the model was asked twice for one request"
    assert len(requests) == 2 * TURNS


async def _until(asked: list[str], count: int) -> None:
    """Until so many calls were run, or for 3 seconds: all may have been run."""
    with suppress(TimeoutError):
        await until(lambda: len(asked) >= count, within_s=3)


async def _closings(settings: Settings) -> list[dict[str, Any]]:
    """The closings, each once, when all turns have ended; fails after a while."""

    async def closings() -> list[dict[str, Any]]:
        records = entries_of(await answers(settings, "interactions", TURNS, more_s=0.5))
        return list({orjson.dumps(value): dict(value) for _, value in records if value["kind"] == "closed"}.values())

    return list(await until_answer(closings, lambda closed: len({turn["audit_id"] for turn in closed}) >= TURNS))
