"""The tool connector over a broker: what was allowed runs, once; what was not never does; also when it is killed."""

import asyncio
import random
import signal
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from effects import answers, produce, running
from endocrine.agents._shared.arguments import digest_of
from endocrine.pipeline.connectors.contract import INTERRUPTED
from endocrine.pipeline.connectors.tools.calls import Calls
from endocrine.pipeline.connectors.tools.check import repeated_results, unallowed_results
from endocrine.pipeline.connectors.tools.effect import ToolEffect
from endocrine.pipeline.connectors.tools.handler import Answer, Call
from endocrine.pipeline.connectors.tools.scheduler import Scheduler
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import load_policy, shipped_policy
from endocrine.pipeline.process.settings import Settings
from tooling import SPEC, ConnectorChild, entries_of, service
from waiting import until

TS = 1_760_000_000.0
PROBES = {
    "tools": {
        "probe": {**SPEC, "function": "probe_it", "idempotent": False},
        "again": {**SPEC, "function": "probe_again", "idempotent": True},
    }
}


def a_call(who: str = "ann", *, function: str = "retrieve_knowledge", query: str = "x", **other: Any) -> dict[str, Any]:
    call = {"call_id": f"c-{uuid.uuid4().hex}", "audit_id": "turn", "identity": who, "tool": function}
    return {**call, "arguments": {"query": query}, "step": 1, "ts": TS, **other}


def decided(call: dict[str, Any], decision: str = "allowed", tool: str = "retrieval") -> dict[str, Any]:
    value = {name: call[name] for name in ("call_id", "audit_id", "identity", "ts")}
    value["arguments_digest"] = digest_of(call["arguments"])
    value |= {"function": call["tool"], "tool": tool, "decision": decision}
    reason = {"allowed": None, "pending": "awaiting_approval", "denied": "step_limit"}[decision]
    return {**value, "reason": reason, "incident_id": None, "policy": "0" * 64}


class Probe:
    """A handler that notes what it ran."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, Any]] = []

    async def run(self, call: Call) -> Answer:
        self.ran.append((call.call_id, call.arguments["query"]))
        return Answer("done")

    async def close(self) -> None:
        pass


def executor(settings: Settings, probe: Probe, deadline_s: float = 60.0) -> ToolEffect:
    handlers = {"retrieval": probe, "scheduler": Scheduler()}
    calls = Calls(settings, lookback_s=3600)
    return ToolEffect(
        shipped_policy(), handlers, calls, ToolSettings(calls="all"), deadline_s=deadline_s, decision_s=60.0
    )


@pytest.fixture
async def topics(settings: Settings, admin: AIOKafkaAdminClient, only_needed_topics: None) -> None:
    await ensure_topics(settings, ["conversation", "gating"])


@pytest.mark.usefixtures("topics")
async def test_an_allowed_call_is_run_once_and_others_never(settings: Settings) -> None:
    calls = [a_call(who) for who in ("ann", "bob", "cy", "dee") for _ in range(5)]
    not_allowed = [a_call() for _ in range(4)]
    await produce(settings, "tool-calls", *calls, *not_allowed)
    said = [decided(call) for call in calls]
    said += [decided(call, what) for call, what in zip(not_allowed, ("denied", "pending") * 2, strict=True)]
    probe = Probe()
    effect = executor(settings, probe)
    async with running(settings, effect):
        await produce(settings, "tool-decisions", *said, *said)  # each twice: copies
        results = await answers(settings, "tool-results", len(calls), more_s=1.0)
    await effect.close()
    assert sorted(name for name, _ in probe.ran) == sorted(call["call_id"] for call in calls)
    decisions = entries_of(await answers(settings, "tool-decisions", 2 * len(said)))
    assert unallowed_results(decisions, entries_of(results)) == []
    assert len(results) == len(calls)


@pytest.mark.usefixtures("topics")
async def test_another_call_under_the_id_of_an_allowed_one_is_not_run(settings: Settings) -> None:
    call = a_call(query="harmless")
    forged = {**call, "arguments": {"query": "forged"}}
    elsewhere = {**call, "identity": "bob", "arguments": {"query": "bob's"}}
    await produce(settings, "tool-calls", elsewhere, call, forged)
    probe = Probe()
    effect = executor(settings, probe)
    async with running(settings, effect):
        await produce(settings, "tool-decisions", decided(call))
        await answers(settings, "tool-results", 1)
    await effect.close()
    assert probe.ran == [(call["call_id"], "harmless")]


@pytest.mark.usefixtures("topics")
async def test_what_was_decided_too_long_ago_or_has_no_call_is_not_run(settings: Settings) -> None:
    call = a_call()
    await produce(settings, "tool-calls", call)
    await produce(settings, "tool-decisions", decided(call), decided(a_call()))
    produced_at = time.time()
    await until(lambda: time.time() > produced_at + 0.05)  # past the deadline, by the clock that counts
    probe = Probe()
    effect = executor(settings, probe, deadline_s=0.01)
    async with running(settings, effect):
        results = await answers(settings, "tool-results", 2)
    await effect.close()
    assert probe.ran == []
    told = {value["status"] + ": " + value["output"]["error"][-7:] for _, value in entries_of(results)}
    assert told == {"error: not run"}


@pytest.mark.usefixtures("topics")
async def test_a_successor_runs_nothing_that_was_answered(settings: Settings) -> None:
    calls = [a_call() for _ in range(10)]
    probe = Probe()
    for known in (calls[:5], calls):
        effect = executor(settings, probe)
        async with running(settings, effect):
            await produce(settings, "tool-calls", *known)
            await produce(settings, "tool-decisions", *map(decided, known))
            await answers(settings, "tool-results", len(known))
        await effect.close()
    assert sorted(name for name, _ in probe.ran) == sorted(call["call_id"] for call in calls)


@pytest.mark.usefixtures("topics")
async def test_a_scheduled_task_is_on_record_before_its_result(settings: Settings) -> None:
    call = a_call(function="schedule_task", arguments={"when": "noon", "note": "call Eve"})
    await produce(settings, "tool-calls", call)
    effect = executor(settings, Probe())
    async with running(settings, effect):
        await produce(settings, "tool-decisions", decided(call, tool="scheduler"))
        (result,) = entries_of(await answers(settings, "tool-results", 1))
        (task,) = entries_of(await answers(settings, "scheduled-tasks", 1))
    await effect.close()
    assert (result.value["status"], task.value["note"], task.value["ts"]) == ("ok", "call Eve", TS)


async def until_more(asked: list[str], count: int, feeding: "asyncio.Task[None]") -> None:
    """Until so many calls were run, or there is nothing more to run."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + 40
    while True:
        if len(asked) >= count or (feeding.done() and len(set(asked)) >= 170):
            return
        assert loop.time() < patience, f"{len(asked)} calls were run, expected {count}"
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("topics")
async def test_killed_at_any_point_no_tool_runs_twice_unless_it_may(settings: Settings, tmp_path: Path) -> None:
    rng = random.Random(11)
    policy = tmp_path / "policy.yaml"
    policy.write_bytes(orjson.dumps(PROBES))
    assert not load_policy(policy).document.tools.root["probe"].idempotent
    settings = settings.model_copy(update={"policy": policy, "instance": "one"})
    once = [a_call(who, function="probe_it") for who in ("ann", "bob", "cy") for _ in range(40)]
    again = [a_call(who, function="probe_again") for who in ("ann", "bob", "cy") for _ in range(20)]
    asked: list[str] = []

    async def feed() -> None:
        for call in sorted(once + again, key=lambda call: str(call["call_id"])):
            await produce(settings, "tool-calls", call)
            await produce(settings, "tool-decisions", decided(call, tool="probe" if call in once else "again"))
            await asyncio.sleep(0.02)

    async with service(asked, 0.15) as url:
        child = ConnectorChild(settings, tmp_path / "connector.log", url)
        await child.start()
        feeding = asyncio.create_task(feed())
        for _ in range(4):
            seen = len(asked)
            await until_more(asked, seen + rng.randint(1, 12), feeding)
            await asyncio.sleep(rng.uniform(0, 0.2))
            await child.end(signal.SIGKILL)
            await child.start()
        await feeding
        try:
            results = entries_of(await answers(settings, "tool-results", len(once) + len(again), more_s=1.0))
        finally:
            await child.end()
    times = Counter(asked)
    assert [name for name in (call["call_id"] for call in once) if times[name] > 1] == [], "a tool ran twice"
    by_call = {value["call_id"]: value for _, value in results}
    assert by_call.keys() == {call["call_id"] for call in once + again}, "a call has no result"
    interrupted = [name for name, value in by_call.items() if value["output"] == {"error": INTERRUPTED}]
    assert not set(interrupted) & {call["call_id"] for call in again}
    assert all(value["status"] == "ok" for name, value in by_call.items() if name not in interrupted)
    ran = {call["call_id"] for call in once} - set(interrupted)
    assert all(times[name] == 1 for name in ran)
    decisions = entries_of(await answers(settings, "tool-decisions", len(once) + len(again)))
    assert unallowed_results(decisions, results) == []
    assert repeated_results([entry for entry in results if entry.value["tool"] == "probe"]) == []
