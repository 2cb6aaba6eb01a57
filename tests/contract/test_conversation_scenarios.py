"""Four conversations from question to answer, in `simulate` and on a broker. The model's replies and what tools give
are scripted records; the gate, the modulation and the conversation are the real ones.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli.replay import verified
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from running import at_rest, worker_in_process
from sealing import sealed

Records = list[tuple[str, dict[str, Any]]]
Outputs = dict[str, list[dict[str, Any]]]
GUIDE = {"source": "guide.md", "text": "The short guide comes first.", "score": 1.0}
READ = ("model-requests", "tool-decisions", "modulations", "incidents", "interactions", "style-tables", "tool-calls")


class World:
    """What a model and the tools would do: scripted, and counted, so that nothing is asked twice."""

    def __init__(self, script: dict[str, list[dict[str, Any]]]) -> None:
        self.script = {identity: list(replies) for identity, replies in script.items()}
        self.asked: list[str] = []
        self.run: list[str] = []

    def react(self, topic: str, value: dict[str, Any]) -> Records:
        if topic == "model-requests":
            self.asked.append(value["request_id"])
            return [("model-replies", self._reply(value))]
        if topic == "tool-decisions" and value["decision"] == "allowed":
            self.run.append(value["call_id"])
            output = {"snippets": [GUIDE]} if value["tool"] == "retrieval" else "a page"
            common = {name: value[name] for name in ("call_id", "audit_id", "identity", "tool")}
            fields = {"status": "ok", "duration_ms": 3.0, "args_summary": "", "output": output, "ts": value["ts"] + 1}
            return [("tool-results", {"id": f"result of {value['call_id']}", **common, **fields})]
        return []

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        common = {name: request[name] for name in ("request_id", "audit_id", "identity", "step", "model")}
        says = {"content": None, "tool_calls": [], **self.script[request["identity"]].pop(0)}
        says["tool_calls"] = [
            {"call_id": f"c{n}", "tool": tool, "arguments": arguments}
            for n, (tool, arguments) in enumerate(says["tool_calls"])
        ]
        fields = {"status": "ok", "finish_reason": "stop", "usage": {"input_tokens": 30, "output_tokens": 8}}
        late = {"latency_ms": 2000.0, "error": None, "ts": request["ts"] + 2}
        return {"id": f"reply to {request['request_id']}", **common, **says, **fields, **late}


def question(identity: str, audit_id: str, ts: float | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    value = {
        "kind": "opened",
        "audit_id": audit_id,
        "identity": identity,
        "session_id": "s",
        "turn": 0,
        "client": "test",
        "prompt": "Which of the two guides comes first?",
        "respond": True,
        **more,
        "ts": time.time() if ts is None else ts,
    }
    return "interactions", {"id": f"opened {audit_id}", **value}


Play = Callable[[World, Records, str, int], Awaitable[Outputs]]
"""(world, inputs, topic to wait for, how many of it) -> what was said so far, by topic."""


@pytest.fixture(params=["simulate", "worker"])
async def play(request: pytest.FixtureRequest, settings: Settings) -> Any:
    said: Outputs = defaultdict(list)
    settings = settings.model_copy(update={"partitions": 2})
    if request.param == "simulate":
        run = Simulation(AGENTS, shipped_policy(), version="test", sizes=settings.sizes, partitions=2)

        async def simulated(world: World, inputs: Records, topic: str, count: int) -> Outputs:
            waiting = list(inputs)
            while waiting:
                name, value = waiting.pop(0)
                for derived in run.feed(orjson.dumps({"topic": name, "value": value})):
                    assert not derived.dead, derived
                    if derived[0] in READ:
                        spoken = orjson.loads(derived[2])
                        said[derived[0]].append(spoken)
                        waiting += world.react(derived[0], spoken)
            assert len(said[topic]) >= count
            return said

        yield simulated
        return

    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    asker = clients.reader(settings)  # one that is subscribed would not learn of other topics
    for client in (producer, consumer, asker):
        await client.start()
    seen: set[str] = set()

    async def send(records: Records) -> None:
        for name, value in records:
            key, content = value["identity"].encode(), orjson.dumps(value)
            place = partition_of(value["identity"], settings.partitions)
            ours = name in ("model-replies", "tool-results")  # as our connectors write them
            headers = sealed(settings, name, place, key, content) if ours else None
            await producer.send_and_wait(settings.prefix + name, content, key=key, partition=place, headers=headers)

    async def worked(world: World, inputs: Records, topic: str, count: int) -> Outputs:
        await send(inputs)
        async with asyncio.timeout(120):
            while len(said[topic]) < count:
                for place, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        headers = dict(record.headers)
                        if b"endocrine/" not in headers.get("ce_source", b""):
                            continue
                        name = headers["ce_id"].decode()
                        if name in seen:
                            continue  # spoken at least once: consumers drop copies by id
                        seen.add(name)
                        value = orjson.loads(record.value)
                        said[place.topic.removeprefix(settings.prefix)].append(value)
                        await send(world.react(place.topic.removeprefix(settings.prefix), value))
        return said

    try:
        async with worker_in_process(settings, AGENTS, shipped_policy()) as worker:
            consumer.subscribe([settings.prefix + name for name in READ])
            yield worked
            await at_rest(worker, asker)
    finally:
        for client in (producer, consumer, asker):
            await client.stop()
    report = await verified(settings)
    assert report.proved, dict(report.findings)
    assert report.compared > 5


def answers(said: Outputs) -> list[dict[str, Any]]:
    return [value for value in said["interactions"] if value["kind"] == "closed"]


ANSWER = {"content": "The short guide (guide.md)."}


async def test_retrieval_only_on_a_balanced_turn(play: Play) -> None:
    world = World({"ann": [{"tool_calls": [("retrieve_knowledge", {"query": "guides"})]}, ANSWER]})
    said = await play(world, [question("ann", "t1")], "interactions", 1)
    assert [value["mode"] for value in said["modulations"]] == ["balanced"]
    assert world.run == ["t1/retrieval", "t1/1/call-1"]
    first = said["model-requests"][0]
    assert orjson.loads(first["messages"][0]["content"].split("\n")[-1]) == {
        "source": "guide.md",
        "text": "The short guide comes first.",
    }
    (closed,) = answers(said)
    assert (closed["finish"], closed["response"], closed["chunks_used"]) == (
        "answered",
        ANSWER["content"],
        ["guide.md"],
    )
    assert closed["usage"] == {"input_tokens": 60, "output_tokens": 16}
    assert said["incidents"] == []


async def test_a_turn_under_alignment_risk_is_asked_strictly(play: Play) -> None:
    world = World({"bob": [ANSWER]})
    risk = [{"name": "alignment_risk", "level": 0.7}]
    said = await play(world, [question("bob", "t1", signals=risk)], "interactions", 1)
    (request,) = said["model-requests"]
    document = shipped_policy().document
    spoken = f"{document.system_base}\n\n{document.prompt_styles.strict.system_preamble}"
    assert request["messages"][0]["content"].startswith(spoken)
    assert request["parameters"]["temperature"] == pytest.approx(1 - 0.85 * 0.7)
    assert [tool["function"]["name"] for tool in request["tools"]] == ["retrieve_knowledge"]
    assert answers(said)[0]["finish"] == "answered"


async def test_a_forbidden_tool_is_blocked_and_the_answer_comes_without_it(play: Play) -> None:
    wanted = [("exec_code", {"language": "bash", "source": "id"}), ("schedule_task", {"when": "now", "note": "x"})]
    world = World({"cyr": [{"tool_calls": wanted}, ANSWER]})
    said = await play(world, [question("cyr", "t1")], "interactions", 1)
    assert [(value["kind"], value["attempted"]) for value in said["incidents"]] == [
        ("tool_blocked", "exec_code"),
        ("tool_blocked", "schedule_task"),
    ]
    assert [(value["revision"], value["mode"]) for value in said["modulations"]] == [(0, "balanced"), (1, "strict")]
    assert world.run == ["t1/retrieval"], "nothing that was not allowed has run"
    second = said["model-requests"][1]
    assert [message["content"] for message in second["messages"][-2:]] == [
        "tool exec_code is not allowed, go on without it",
        "tool schedule_task is not allowed, go on without it",
    ]
    assert [tool["function"]["name"] for tool in second["tools"]] == ["retrieve_knowledge"]
    assert answers(said)[0]["finish"] == "answered"
    assert world.asked == ["t1/1", "t1/2"]


async def test_feedback_nudges_the_style_of_the_next_turn(play: Play) -> None:
    world = World({"dee": [ANSWER, ANSWER]})
    await play(world, [question("dee", "t1")], "interactions", 1)
    card = {"id": "card", "identity": "dee", "target_action_id": "t1", "rating": 4, "ts": time.time()}
    await play(world, [("feedback", card)], "style-tables", 1)
    said = await play(world, [question("dee", "t2")], "interactions", 2)
    warm = [value["parameters"]["temperature"] for value in said["model-requests"]]
    assert warm == [0.6, pytest.approx(0.65)]
    told = [message["content"] for message in said["model-requests"][1]["messages"]]
    assert ANSWER["content"] in told, "the session's history"
    assert [closed["finish"] for closed in answers(said)] == ["answered", "answered"]


def test_with_the_gate_dead_no_tool_runs_and_the_turn_ends_all_the_same() -> None:
    without = [agent for agent in AGENTS if agent.name != "gating"]
    run = Simulation(without, shipped_policy(), version="test", sizes=Sizes(), partitions=2)
    world = World({"fay": [{"tool_calls": [("retrieve_knowledge", {"query": "guides"})]}, ANSWER]})

    def feed(topic: str, value: dict[str, Any]) -> None:
        for derived in run.feed(orjson.dumps({"topic": topic, "value": value})):
            spoken = orjson.loads(derived[2])
            said[derived[0]].append(spoken)
            for name, reaction in world.react(derived[0], spoken):
                feed(name, reaction)

    said: Outputs = defaultdict(list)
    feed(*question("fay", "t1"))
    for ts in (time.time() + 100.0, time.time() + 200.0):
        feed("commands", {"kind": "tick", "identity": "fay", "by": "timekeeper", "ts": ts})
    assert len(said["tool-calls"]) == 2
    assert world.run == []
    assert said["model-requests"][1]["messages"][-1]["content"].endswith("is not allowed, go on without it")
    assert [closed["finish"] for closed in answers(said)] == ["answered"]


async def test_a_veto_is_asked_again_under_a_stricter_revision(play: Play) -> None:
    world = World({"eve": [{"content": "Here is my system prompt."}, ANSWER]})
    said = await play(world, [question("eve", "t1")], "interactions", 1)
    assert [value["kind"] for value in said["incidents"]] == ["guardian_veto"]
    last = said["modulations"][-1]
    assert [(signal["name"], signal["level"]) for signal in last["signals"]] == [("alignment_risk", 0.9)]
    assert world.asked == ["t1/1", "t1/1/again"]
    assert answers(said)[0]["response"] == ANSWER["content"]
