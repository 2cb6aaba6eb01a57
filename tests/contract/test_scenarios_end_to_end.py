"""Four conversations through everything there is: worker, tool and model connector as processes, retrieval over a real
folder, and the scripted HTTP server in place of a provider. The stack is started once for the file.
"""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from effects import produce
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.tools.check import Entry, repeated_results, unallowed_results
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from running import CommandChild

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICY = shipped_policy()
STRICT = POLICY.document.prompt_styles.strict.system_preamble
NOTES = {"tides.md": "# Tides\nThe moon causes the tides of the sea.\n", "bread.md": "# Bread\nFlour, water, salt.\n"}
LOOK_UP = {"calls": [{"tool": "retrieve_knowledge", "arguments": {"query": "tides", "k": 3}}]}
SCHEDULE = {"calls": [{"tool": "schedule_task", "arguments": {"when": "now", "note": "x"}}]}
SCRIPT = parse_script(
    {
        "rules": [
            {"name": "reminder", "when": "remind", "steps": [SCHEDULE, {"text": "Without it: {results} [{offered}]"}]},
            {"name": "strict", "system": re.escape(STRICT), "steps": [{"text": "Strictly: {offered}"}]},
            {"name": "tides", "when": "tides", "steps": [LOOK_UP, {"text": "Found: {results}"}]},
            {"name": "any", "steps": [{"text": "As you say."}]},
        ]
    }
)
READ = (
    "interactions",
    "modulations",
    "model-requests",
    "model-replies",
    "tool-decisions",
    "tool-results",
    "incidents",
    "style-tables",
    "scheduled-tasks",
)


@dataclass
class Stack:
    """A running stack, and all that was said on it."""

    settings: Settings
    server: ScriptedServer
    consumer: AIOKafkaConsumer
    said: dict[str, dict[str, Entry]] = field(default_factory=lambda: {topic: {} for topic in READ})

    def of(self, topic: str, **wanted: Any) -> list[dict[str, Any]]:
        """Values of a topic, each id once, whose fields are as wanted."""
        values = [dict(entry.value) for entry in self.said[topic].values()]
        return [value for value in values if wanted.items() <= value.items()]

    async def until(self, enough: Callable[[], Any]) -> None:
        """Read on until there is enough, then all that stands there by then; fails after a minute."""
        async with asyncio.timeout(120):
            while not enough():
                await self._read()
            for place, end in (await self.consumer.end_offsets(self.consumer.assignment())).items():
                while await self.consumer.position(place) < end:
                    await self._read()

    async def _read(self) -> None:
        for place, records in (await self.consumer.getmany(timeout_ms=100)).items():
            for raw in records:
                topic = place.topic.removeprefix(self.settings.prefix)
                name = dict(raw.headers).get("ce_id", f"{place}/{raw.offset}".encode()).decode()
                self.said[topic].setdefault(name, Entry(raw.timestamp, orjson.loads(raw.value)))

    async def ask(self, identity: str, prompt: str, **more: Any) -> dict[str, Any]:
        """Open a turn and wait for its end."""
        audit_id = f"turn-{uuid.uuid4().hex[:8]}"
        turn = {"kind": "opened", "audit_id": audit_id, "identity": identity, "session_id": "s", "turn": 0}
        turn |= {"client": "test", "prompt": prompt, "respond": True, "ts": time.time(), **more}
        await produce(self.settings, "interactions", turn)
        await self.until(lambda: self.of("interactions", kind="closed", audit_id=audit_id))
        (closed,) = self.of("interactions", kind="closed", audit_id=audit_id)
        return closed

    def heard(self, prompt: str) -> list[dict[str, Any]]:
        """Bodies that the server was sent with this prompt as the last thing the user said."""
        return [dict(one.body) for one in self.server.seen if prompt in orjson.dumps(one.body).decode()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    prefix = f"t{uuid.uuid4().hex[:8]}."
    settings = Settings(
        bootstrap=broker.bootstrap, prefix=prefix, group=prefix + "group", data_dir=folder / "data", partitions=2
    )
    notes = folder / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    await ensure_topics(settings, [agent.name for agent in AGENTS])
    async with AsyncExitStack() as ending:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        ending.push_async_callback(admin.close)
        ending.push_async_callback(deleted, admin, prefix)
        server = await ending.enter_async_context(ScriptedServer(SCRIPT, api_key="a key"))
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap)
        await consumer.start()
        ending.push_async_callback(consumer.stop)
        places = [TopicPartition(prefix + topic, n) for topic in READ for n in range(settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        model = {"ENDOCRINE_MODEL_BASE_URL": server.base_url, "ENDOCRINE_MODEL_API_KEY": "a key"}
        tools = {"ENDOCRINE_TOOL_CORPUS": str(notes)}
        children: list[CommandChild] = []
        for name, command, extra in (
            ("worker", ("worker",), {}),
            ("model", ("connect", "model"), model),
            ("tools", ("connect", "tools"), tools),
        ):
            child = CommandChild(settings, folder / f"{name}.log", command, extra)
            await child.start()
            children.append(child)
        ending.push_async_callback(lambda: asyncio.gather(*(child.end() for child in children)))
        stack = Stack(settings, server, consumer)
        yield stack
        await stack.until(lambda: True)
        decisions, results = (list(stack.said[topic].values()) for topic in ("tool-decisions", "tool-results"))
        assert unallowed_results(decisions, results) == [], "a tool ran without leave"
        assert repeated_results(results) == [], "a tool ran twice"
        assert len(stack.of("model-replies")) == len(server.seen), "the model was asked twice for one request"


async def deleted(admin: AIOKafkaAdminClient, prefix: str) -> None:
    await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])


async def test_a_balanced_turn_retrieves_and_answers_from_what_was_found(stack: Stack) -> None:
    prompt = "What causes the tides of the sea?"
    closed = await stack.ask("ann", prompt)
    turn = closed["audit_id"]
    assert closed["finish"] == "answered"
    assert "The moon causes the tides of the sea." in closed["response"]
    assert closed["chunks_used"] == ["tides.md"]
    assert [one["mode"] for one in stack.of("modulations", audit_id=turn)] == ["balanced"]
    assert stack.of("incidents", audit_id=turn) == []
    results = stack.of("tool-results", audit_id=turn)
    assert [(one["tool"], one["status"]) for one in results] == [("retrieval", "ok")] * 2
    assert {one["call_id"] for one in results} == {f"{turn}/retrieval", f"{turn}/1/call-1"}
    first, second = stack.heard(prompt)
    assert "The moon causes the tides" in orjson.dumps(first).decode(), "snippets go along before anything is asked for"
    assert first["temperature"] == 0.6
    assert second != first
    replies = stack.of("model-replies", audit_id=turn)
    assert [one["status"] for one in replies] == ["ok", "ok"]
    used = {name: sum(one["usage"][name] for one in replies) for name in ("input_tokens", "output_tokens")}
    assert closed["usage"] == used


async def test_under_alignment_risk_the_model_is_asked_strictly(stack: Stack) -> None:
    prompt = "Tell me what the sea does at night."
    closed = await stack.ask("bob", prompt, signals=[{"name": "alignment_risk", "level": 0.7}])
    assert closed["finish"] == "answered"
    assert closed["response"] == "[scripted] Strictly: retrieve_knowledge"
    assert [one["mode"] for one in stack.of("modulations", audit_id=closed["audit_id"])] == ["strict"]
    (body,) = stack.heard(prompt)
    assert STRICT in orjson.dumps(body).decode()
    assert body["temperature"] == pytest.approx(1 - 0.85 * 0.7)


async def test_a_forbidden_tool_is_an_incident_and_the_answer_comes_without_it(stack: Stack) -> None:
    prompt = "Please remind me of the sea."
    closed = await stack.ask("cyr", prompt)
    turn = closed["audit_id"]
    assert closed["finish"] == "answered"
    told = "tool schedule_task is not allowed, go on without it"
    assert closed["response"] == f"[scripted] Without it: {told} [retrieve_knowledge]"
    incidents = stack.of("incidents", audit_id=turn)
    assert [(one["kind"], one["attempted"], one["reason"]) for one in incidents] == [
        ("tool_blocked", "schedule_task", "not_in_allowlist")
    ]
    revisions = [(one["revision"], one["mode"]) for one in stack.of("modulations", audit_id=turn)]
    assert revisions == [(0, "balanced"), (1, "strict")]
    assert [one["tool"] for one in stack.of("tool-results", audit_id=turn)] == ["retrieval"]
    assert stack.of("scheduled-tasks") == [], "it has not run"
    assert len(stack.heard(prompt)) == 2


async def test_a_good_rating_warms_the_style_of_the_next_turn(stack: Stack) -> None:
    first = await stack.ask("dee", "Say something.")
    card = {"identity": "dee", "target_action_id": first["audit_id"], "rating": 4, "ts": time.time()}
    await produce(stack.settings, "feedback", card)
    await stack.until(lambda: stack.of("style-tables", identity="dee"))
    second = await stack.ask("dee", "And something else.")
    assert [one["finish"] for one in (first, second)] == ["answered", "answered"]
    assert stack.heard("Say something.")[0]["temperature"] == 0.6
    (body,) = stack.heard("And something else.")
    assert body["temperature"] == pytest.approx(0.65)
    assert "[scripted] As you say." in orjson.dumps(body).decode(), "the session's history goes along"
    (modulation,) = stack.of("modulations", audit_id=second["audit_id"])
    assert (modulation["mode"], modulation["parameters"]["tool_allowlist"]) == (
        "balanced",
        list(POLICY.document.defaults.tool_allowlist),
    ), "feedback moves the style and nothing else"
