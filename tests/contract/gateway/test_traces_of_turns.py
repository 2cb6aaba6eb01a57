"""One trace from the gateway's door through agents, model, tool and reply, on Kafka; no content in it."""

import contextlib

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.policy_files import shipped_policy
from gateway_serving import forget, served, stack
from waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROMPT, ARGUMENT, ANSWER, NOTE = "canary-prompt", "canary-argument", "canary-answer", "canary-note"
TRACE = "4b" * 16
CALLER = f"00-{TRACE}-{'1c' * 8}-01"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(tracing.Tracer(provider))
    yield exporter
    tracing.use(None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(spans, module_settings, tmp_path_factory):
    """A gateway, a worker, a model that asks for a tool, and the tool."""
    policy = shipped_policy()
    own = {"tool": "retrieve_knowledge", "arguments": {"query": ARGUMENT}}
    script = parse_script({"rules": [{"name": "one", "steps": [{"calls": [own]}, {"text": ANSWER}]}]})
    notes = tmp_path_factory.mktemp("notes")
    (notes / "note.md").write_text(f"{NOTE} {ARGUMENT}")
    async with contextlib.AsyncExitStack() as ending:
        server = await ending.enter_async_context(ScriptedServer(script))
        await ending.enter_async_context(stack(module_settings))
        asking = ModelEffect(ModelSettings(base_url=server.base_url, api_key="any"), policy.document.models)
        ending.push_async_callback(asking.close)
        tools = tool_effect(module_settings, policy, ToolSettings(corpus=notes))
        ending.push_async_callback(tools.close)
        await ending.enter_async_context(running(module_settings, asking))
        await ending.enter_async_context(running(module_settings, tools))
        yield await ending.enter_async_context(served(module_settings))
    await forget(module_settings)


async def test_a_turn_is_one_trace_from_the_door_to_the_reply_without_a_word_of_its_content(traced, spans, who):
    async with traced.client(traceparent=CALLER) as client:
        answer = await client.post("/v1/turns", json={"identity": who, "prompt": PROMPT, "respond": True})
    assert answer.status_code == 200, answer.text
    assert ANSWER in answer.json()["response"]
    expected = {
        "POST /v1/turns",
        "modulation process interactions",
        "gating process tool-calls",
        "conversation process model-replies",
        "execute_tool retrieval",
        "audit process interactions",
    }

    def names():
        return {span.name for span in spans.get_finished_spans()}

    await until(lambda: expected <= names() and any(name.startswith("chat ") for name in names()))
    made = [span for span in spans.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]
    assert expected <= {span.name for span in made}
    assert any(span.name.startswith("chat ") for span in made)
    (door,) = [span for span in made if span.name == "POST /v1/turns"]
    assert f"{door.parent.span_id:016x}" == "1c" * 8
    assert {span.parent.span_id for span in made if span is not door} == {door.context.span_id}
    text = " ".join(span.to_json() for span in spans.get_finished_spans())
    for canary in (PROMPT, ARGUMENT, ANSWER, NOTE, who):
        assert canary not in text


async def test_every_record_of_a_turn_carries_the_context_of_its_door(traced, spans, who):
    async with traced.client() as client:
        answer = await client.post("/v1/turns", json={"identity": who, "prompt": PROMPT, "respond": True})
    assert answer.status_code == 200, answer.text
    settings = traced.settings
    place = partition_of(who, settings.partitions)
    found = set()
    topics = ("interactions", "modulations", "model-requests", "model-replies", "tool-calls", "tool-decisions")
    for topic in topics:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        where = TopicPartition(settings.prefix + topic, place)
        consumer.assign([where])
        end = (await consumer.end_offsets([where]))[where]
        while await consumer.position(where) < end:
            for record in (await consumer.getmany(timeout_ms=500)).get(where, ()):
                if record.key == who.encode():
                    found.add((topic, dict(record.headers).get("traceparent")))
        await consumer.stop()
    assert {topic for topic, _ in found} == set(topics)
    (context,) = {context for _, context in found}
    door = [span for span in spans.get_finished_spans() if span.name == "POST /v1/turns"][-1]
    assert context.decode().split("-")[1:3] == [f"{door.context.trace_id:032x}", f"{door.context.span_id:016x}"]
