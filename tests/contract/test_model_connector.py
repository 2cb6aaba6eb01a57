"""The model connector against a real HTTP server that speaks both APIs, streaming and not; then over a broker."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from effects import answers, produce, running
from endocrine.agents.conversation.capabilities import ModelRules
from endocrine.pipeline.connectors.contract import Request
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.local.fake_llm.script import parse_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings

TOOL = {"type": "function", "function": {"name": "retrieve_knowledge", "description": "search", "parameters": {}}}
RULES = ModelRules.model_validate(
    {
        "default_model": "scripted",
        "models": [
            {
                "match": "*",
                "api": "chat",
                "takes": ["temperature", "top_p", "max_output_tokens"],
                "max_tokens_name": "max_completion_tokens",
                "price": {"input": 1.0, "output": 2.0},
            }
        ],
    }
)
pytestmark = pytest.mark.parametrize(
    ("api", "stream"), [("chat", False), ("chat", True), ("responses", False), ("responses", True)]
)


def a_request(prompt: str = "hello", *, deadline_ms: int = 10_000, **more: Any) -> dict[str, Any]:
    return {
        "request_id": f"r-{uuid.uuid4().hex}",
        "audit_id": "t1",
        "identity": "ann",
        "step": 1,
        "model": "scripted",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}],
        "tools": [TOOL],
        "parameters": {"temperature": 0.2, "max_output_tokens": 256},
        "dropped": [],
        "deadline_ms": deadline_ms,
        "ts": 1_700_000_000.0,
    } | more


Asks = Callable[..., AbstractAsyncContextManager["Asking"]]


class Asking:
    """A connector's effect on a scripted server, without a broker."""

    def __init__(self, server: ScriptedServer, effect: ModelEffect) -> None:
        self.server = server
        self.effect = effect

    async def ask(self, value: dict[str, Any] | None = None, age_s: float = 0.0) -> dict[str, Any]:
        request = Request(value or a_request(), "ann", 0, 0, age_s)
        (said,) = await self.effect.run(request)
        CATALOGUE["model-replies"].validate(said.value)
        return said.value


@pytest.fixture
def asking(api: str, stream: bool) -> Asks:
    @asynccontextmanager
    async def made(
        *steps: dict[str, Any], rules: list[dict[str, Any]] | None = None, moderation: Any = (), **settings: Any
    ) -> AsyncIterator[Asking]:
        script = parse_script({"moderation": moderation, "rules": rules or [{"name": "all", "steps": list(steps)}]})
        async with ScriptedServer(script, api_key="k") as server:
            given = {"api_key": "k", "base_url": server.base_url, "api": api, "stream": stream, "backoff_s": 0.01}
            effect = ModelEffect(ModelSettings.model_validate(given | settings), RULES)
            try:
                yield Asking(server, effect)
            finally:
                await effect.close()

    return made


async def test_an_answer_carries_content_usage_and_latency_and_what_was_asked_is_sent(asking: Asks, api: str) -> None:
    async with asking({"text": "yes"}) as one:
        reply = await one.ask()
        body = one.server.seen[0].body
    assert (reply["status"], reply["content"], reply["finish_reason"]) == ("ok", "[scripted] yes", "stop")
    assert reply["usage"]["input_tokens"] > 0
    assert reply["usage"]["output_tokens"] > 0
    assert reply["ts"] >= 1_700_000_000.0
    assert one.server.seen[0].api == api
    assert body["temperature"] == 0.2
    assert body["max_completion_tokens" if api == "chat" else "max_output_tokens"] == 256
    assert body["tools"][0].get("function", body["tools"][0])["name"] == "retrieve_knowledge"
    assert one.effect.account.models["scripted"].replies == {"ok": 1}
    assert one.effect.account.models["scripted"].dollars > 0


async def test_a_429_is_asked_again_after_what_the_server_asked_to_wait(asking: Asks) -> None:
    async with asking(
        {"text": "yes", "fault": {"kind": "status", "status": 429, "retry_after": "0.3", "times": 1}}
    ) as one:
        before = time.monotonic()
        reply = await one.ask()
        waited = time.monotonic() - before
    assert reply["status"] == "ok"
    assert len(one.server.seen) == 2
    assert waited >= 0.3  # a lower bound only: it holds on the slowest machine


async def test_a_wait_that_would_pass_the_deadline_is_not_waited_for(asking: Asks) -> None:
    async with asking({"text": "yes", "fault": {"kind": "status", "status": 429, "retry_after": "60"}}) as one:
        reply = await one.ask()
    assert reply["status"] == "error"
    assert "429" in reply["error"]
    assert "past the deadline" in reply["error"]
    assert len(one.server.seen) == 1


async def test_an_exhausted_quota_is_not_asked_again(asking: Asks) -> None:
    async with asking({"text": "yes", "fault": {"kind": "status", "status": 429, "code": "insufficient_quota"}}) as one:
        assert (await one.ask())["status"] == "error"
    assert len(one.server.seen) == 1


@pytest.mark.parametrize("kind", ["status", "malformed", "drop"])
async def test_a_passing_fault_of_the_server_costs_a_retry(asking: Asks, kind: str) -> None:
    async with asking({"text": "yes", "fault": {"kind": kind, "times": 2}}) as one:
        reply = await one.ask()
    assert (reply["status"], reply["content"]) == ("ok", "[scripted] yes")
    assert len(one.server.seen) == 3


@pytest.mark.parametrize(
    ("kind", "said"), [("status", "500"), ("malformed", "cannot be read"), ("drop", "connection failed")]
)
async def test_a_lasting_fault_becomes_a_plain_error(asking: Asks, kind: str, said: str) -> None:
    async with asking({"text": "yes", "fault": {"kind": kind}}, tries=2) as one:
        reply = await one.ask()
    assert (reply["status"], reply["content"], reply["tool_calls"]) == ("error", None, [])
    assert said in reply["error"]
    assert "after 2 tries" in reply["error"]


async def test_a_stalled_reply_is_a_timeout_at_its_deadline(asking: Asks) -> None:
    async with asking({"text": "yes", "fault": {"kind": "stall"}}) as one:
        reply = await one.ask(a_request(deadline_ms=300))
    assert reply["status"] == "timeout"


async def test_a_stream_that_stalls_is_asked_again_before_the_deadline(asking: Asks, stream: bool) -> None:
    async with asking({"text": "yes", "fault": {"kind": "stall", "times": 1}}, silence_s=0.2) as one:
        reply = await one.ask(a_request(deadline_ms=2000))
    assert reply["status"] == ("ok" if stream else "timeout")  # only a stream shows that nothing comes any more


async def test_a_wrong_key_is_said_once(asking: Asks) -> None:
    async with asking({"text": "yes"}, api_key="other") as one:
        reply = await one.ask()
    assert reply["status"] == "error"
    assert "401: check OPENAI_API_KEY" in reply["error"]
    assert len(one.server.seen) == 1


async def test_nobody_listening_is_an_error_and_no_crash(asking: Asks) -> None:
    async with asking({"text": "yes"}, base_url="http://127.0.0.1:9/v1", tries=2) as one:
        reply = await one.ask()
    assert reply["status"] == "error"
    assert "connection failed" in reply["error"]


async def test_broken_arguments_go_on_as_the_text_they_are(asking: Asks) -> None:
    async with asking({"calls": [{"tool": "open_url", "arguments": '{"url": "http'}]}) as one:
        reply = await one.ask()
    assert reply["status"] == "ok"
    assert reply["finish_reason"] == "tool_calls"
    assert [(call["tool"], call["arguments"]) for call in reply["tool_calls"]] == [("open_url", '{"url": "http')]


async def test_both_of_two_calls_are_passed_on_the_gate_decides(asking: Asks) -> None:
    calls = [
        {"tool": "retrieve_knowledge", "arguments": {"query": "x", "k": 3}},
        {"tool": "exec_code", "arguments": {"language": "bash", "source": "id"}},
    ]
    async with asking({"text": "looking", "calls": calls}) as one:
        reply = await one.ask()
        again = await one.ask()
    assert [{"tool": call["tool"], "arguments": call["arguments"]} for call in reply["tool_calls"]] == calls
    assert reply["content"] == "[scripted] looking"
    # The server repeats its ids; ours differ from call to call and from request to request.
    assert len({call["call_id"] for call in reply["tool_calls"] + again["tool_calls"]}) == 4


async def test_a_refusal_is_refused_and_its_calls_are_not_acted_on(asking: Asks) -> None:
    async with asking({"refuse": "no", "calls": [{"tool": "open_url", "arguments": {}}]}) as one:
        reply = await one.ask()
    assert (reply["status"], reply["content"], reply["tool_calls"]) == ("refused", "[scripted] no", [])


async def test_a_filtered_reply_is_refused(asking: Asks) -> None:
    async with asking({"text": "half", "finish": "content_filter"}) as one:
        assert (await one.ask())["status"] == "refused"


async def test_a_reply_cut_at_the_token_limit_says_so(asking: Asks) -> None:
    async with asking({"text": "word " * 2000}) as one:
        reply = await one.ask()
    assert (reply["status"], reply["finish_reason"]) == ("ok", "length")
    assert len(reply["content"]) == 256 * 4


async def test_results_of_tools_go_back_under_the_ids_of_their_calls(asking: Asks, api: str) -> None:
    steps = [{"calls": [{"tool": "retrieve_knowledge", "arguments": {"query": "x"}}]}, {"text": "found {results}"}]
    async with asking(*steps) as one:
        value = a_request()
        (call,) = (await one.ask(value))["tool_calls"]
        function = {"name": call["tool"], "arguments": orjson.dumps(call["arguments"]).decode()}
        value["messages"] += [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": call["call_id"], "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": call["call_id"], "content": "three notes"},
        ]
        reply = await one.ask(value)
        body = one.server.seen[-1].body
    assert reply["content"] == "[scripted] found three notes"
    if api == "responses":
        assert [item["call_id"] for item in body["input"] if "call_id" in item] == [call["call_id"]] * 2
    # The beginning is the same from step to step, so a provider may take it from its cache.
    name = "messages" if api == "chat" else "input"
    first = one.server.seen[0].body
    assert body[name][: len(first[name])] == first[name]
    assert body["tools"] == first["tools"]


async def test_a_request_read_past_its_deadline_is_not_asked(asking: Asks) -> None:
    async with asking({"text": "yes"}) as one:
        reply = await one.ask(a_request(deadline_ms=1000), age_s=2.0)
    assert reply["status"] == "timeout"
    assert "not asked" in reply["error"]
    assert not one.server.seen


async def test_a_provider_that_fails_again_and_again_is_left_alone(asking: Asks) -> None:
    async with asking({"text": "yes", "fault": {"kind": "status"}}, tries=1, breaker_failures=3) as one:
        replies = [await one.ask() for _ in range(5)]
    assert [reply["status"] for reply in replies] == ["error"] * 5
    assert len(one.server.seen) == 3
    assert "left alone" in replies[-1]["error"]


async def test_a_verdict_of_the_moderation_endpoint_comes_as_the_content_of_a_reply(asking: Asks) -> None:
    rules = [{"name": "all", "steps": [{"text": "unused"}]}]
    moderation = [{"when": "hurt", "scores": {"violence/graphic": 0.9}}]
    async with asking(rules=rules, moderation=moderation) as one:
        value = a_request("hurt", purpose="moderation", parameters={}, tools=[])
        reply = await one.ask(value | {"messages": value["messages"][1:]})
    assert one.server.seen[0].api == "moderations"
    assert orjson.loads(reply["content"]) == {
        "flagged": True,
        "scores": {"self-harm": 0.0, "violence": 0.0, "violence/graphic": 0.9},
    }
    assert reply["usage"] is None


# ---- over a broker ----


@pytest.mark.usefixtures("only_needed_topics")
async def test_every_request_gets_one_reply_on_its_partition_and_a_slow_one_holds_up_none(
    asking: Asks, settings: Settings, admin: AIOKafkaAdminClient, api: str, stream: bool
) -> None:
    await ensure_topics(settings, ["conversation"])
    rules = [
        {"name": "slow", "when": "slow", "steps": [{"text": "late", "delay_s": 600}]},
        {"name": "quick", "steps": [{"text": "soon"}]},
    ]
    slow = a_request("slow", identity="ann", deadline_ms=600_000)
    quick = [a_request(identity="ann" if n % 7 == 0 else f"user-{n % 7}") for n in range(20)]
    async with asking(rules=rules) as one, running(settings, one.effect, drain_s=0.1):
        # A copy at a new offset, as a worker leaves it at a takeover, is not asked again.
        await produce(settings, "model-requests", slow, *quick, quick[0], slow)
        found = await answers(settings, "model-replies", 20, more_s=0.5)
        seen = len(one.server.seen)
    values = [orjson.loads(raw.value) for raw in found]
    assert sorted(value["request_id"] for value in values) == sorted(one["request_id"] for one in quick)
    assert seen == 21
    for raw, value in zip(found, values, strict=True):
        assert raw.key.decode() == value["identity"]
        assert raw.partition == partition_of(value["identity"], settings.partitions)
        assert dict(raw.headers)["ce_id"].decode() == f"model/{value['request_id']}"


@pytest.mark.usefixtures("only_needed_topics")
async def test_a_connector_started_again_asks_nothing_twice_where_a_reply_is_on_record(
    asking: Asks, settings: Settings, admin: AIOKafkaAdminClient, api: str, stream: bool
) -> None:
    await ensure_topics(settings, ["conversation"])
    first, second = a_request(identity="ann"), a_request(identity="ann")
    async with asking({"text": "yes"}) as one:
        async with running(settings, one.effect) as runner:
            runner._commit = _nothing  # type: ignore[method-assign]  # killed between its answer and its commit
            await produce(settings, "model-requests", first)
            await answers(settings, "model-replies", 1)
        async with running(settings, one.effect):
            await produce(settings, "model-requests", second)
            found = await answers(settings, "model-replies", 2, more_s=0.5)
        assert len(one.server.seen) == 2
    assert [orjson.loads(raw.value)["request_id"] for raw in found] == [first["request_id"], second["request_id"]]


@pytest.mark.usefixtures("only_needed_topics")
async def test_a_windowed_reply_puts_its_text_on_record_in_sealed_pieces_before_the_reply(
    asking: Asks, settings: Settings, admin: AIOKafkaAdminClient, api: str, stream: bool
) -> None:
    await ensure_topics(settings, ["conversation"])
    request, other = a_request(identity="ann", stream="windowed"), a_request(identity="ann")
    async with asking({"text": "yes, it is the first of the two"}) as one, running(settings, one.effect):
        await produce(settings, "model-requests", request, other)
        replies = await answers(settings, "model-replies", 2)
        pieces = await answers(settings, "model-chunks", 1, more_s=0.5)
    chunks = [orjson.loads(raw.value) for raw in pieces]
    told = {value["request_id"]: value["content"] for value in (orjson.loads(raw.value) for raw in replies)}
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert {chunk["request_id"] for chunk in chunks} == {request["request_id"]}
    assert "".join(chunk["text"] for chunk in chunks) == told[request["request_id"]]
    seals = load_seals(settings)
    for raw, chunk in zip(pieces, chunks, strict=True):
        CATALOGUE["model-chunks"].validate(chunk)
        headers = dict(raw.headers)
        assert headers["ce_id"].decode() == f"model/{chunk['request_id']}/chunk-{chunk['seq']}"
        assert seals.valid("model-chunks", raw, headers)


async def _nothing() -> None:
    return None
