"""The OpenAI-compatible endpoint on Kafka: worker, model connector and a scripted model behind it, official clients."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from effects import running
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from gateway_serving import forget, served, stack
from openai_stack import FORBIDDEN, SECRET, TOOLS, WEATHER, client_of, function, policy_of, script

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL = "gpt-4.1-mini"
HELLO = "[scripted] " + " ".join(["An answer to hello."] * 4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model():
    async with ScriptedServer(script()) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings, model, tmp_path_factory):
    """A gateway under a policy with an application, a worker, and a connector that asks the script."""
    policy = policy_of(tmp_path_factory.mktemp("policy"))
    asking = ModelEffect(
        ModelSettings(base_url=model.base_url, api_key="any", tries=1, breaker_failures=1000), policy.document.models
    )
    async with contextlib.AsyncExitStack() as ending:
        await ending.enter_async_context(stack(module_settings, policy=policy))
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(module_settings, asking))
        notes = tmp_path_factory.mktemp("notes")
        (notes / "bonn.md").write_text("Bonn lies on the Rhine.")
        tools = tool_effect(module_settings, policy, ToolSettings(corpus=notes))
        ending.push_async_callback(tools.close)
        await ending.enter_async_context(running(module_settings, tools))
        door = await ending.enter_async_context(served(module_settings, policy=policy))
        door.policy = policy
        yield door
    await forget(module_settings)


@pytest.fixture
def client(door, who):
    return client_of(door, who)


def user(text):
    return [{"role": "user", "content": text}]


async def ask(client, text, **more):
    return await client.chat.completions.create(model=MODEL, messages=user(text), **more)


async def streamed(client, text, **more):
    return [chunk async for chunk in await ask(client, text, stream=True, **more)]


async def raised(asked):
    with pytest.raises(openai.APIError) as caught:
        await asked
    return caught.value


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_an_answer_comes_with_what_was_asked_and_sent(client):
    raw = await client.chat.completions.with_raw_response.create(
        model=MODEL, messages=user("hello"), temperature=0.05, max_tokens=50
    )
    found = raw.parse()
    assert found.choices[0].message.content == HELLO
    assert found.choices[0].finish_reason == "stop"
    assert found.usage.total_tokens > 0
    assert raw.headers["endocrine-asked"] == '{"temperature":0.05,"max_output_tokens":50}'
    assert '"temperature":0.05' in raw.headers["endocrine-sent"]
    assert '"max_output_tokens":50' in raw.headers["endocrine-sent"]
    assert raw.headers["endocrine-audit-id"] == found.endocrine["audit_id"]
    assert raw.headers.get_list("x-request-id") == [raw.headers["x-request-id"]]


async def test_a_stream_comes_in_pieces_and_leaves_nothing_behind(client, door):
    chunks = await streamed(client, "hello", stream_options={"include_usage": True})
    assert text_of(chunks) == HELLO
    assert chunks[-1].usage.total_tokens > 0
    assert door.gateway.awaiting.watches.count == 0


async def test_a_response_is_answered_whole_and_streamed(client):
    whole = await client.responses.create(model=MODEL, input="hello")
    assert whole.output_text == HELLO
    events = [event async for event in await client.responses.create(model=MODEL, input="hello", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == whole.output_text


async def test_an_allowed_call_is_passed_on_and_its_result_continues_the_turn(client, model):
    first = await ask(client, "weather in Bonn", tools=TOOLS)
    (call,) = first.choices[0].message.tool_calls
    assert (first.choices[0].finish_reason, call.function.name) == ("tool_calls", WEATHER)
    assert len(call.id) <= 40
    assert [one["name"] for one in model.seen[-1].body["tools"]] == [WEATHER]
    second = await client.chat.completions.create(model=MODEL, tools=TOOLS, messages=answered(first, "rain all day"))
    assert "rain all day" in second.choices[0].message.content
    assert second.endocrine["audit_id"] == first.endocrine["audit_id"]


async def test_the_turn_continues_at_another_gateway_and_again_for_a_retry(client, door, who):
    first = await ask(client, "weather in Bonn", tools=TOOLS)
    messages = answered(first, "fog and sun")
    async with served(door.settings, policy=door.policy) as other:
        there = client_of(other, who)
        found = await there.chat.completions.create(model=MODEL, tools=TOOLS, messages=messages)
        assert "fog and sun" in found.choices[0].message.content
    again = await client.chat.completions.create(model=MODEL, tools=TOOLS, messages=messages)
    assert again.choices[0].message.content == found.choices[0].message.content
    other_result = answered(first, "something else")
    error = await raised(client.chat.completions.create(model=MODEL, tools=TOOLS, messages=other_result))
    assert error.code == "idempotency_key_reused"


async def test_of_two_calls_only_the_allowed_one_reaches_the_client(client):
    for chunks in ([await ask(client, "both", tools=TOOLS)], await streamed(client, "both", tools=TOOLS)):
        whole = "".join(chunk.model_dump_json() for chunk in chunks)
        assert WEATHER in whole
        assert FORBIDDEN not in whole
    response = await client.responses.create(
        model=MODEL, input="both", tools=[{"type": "function", **one["function"]} for one in TOOLS]
    )
    assert [one.name for one in response.output if one.type == "function_call"] == [WEATHER]


async def test_our_own_tools_run_inside_the_turn_beside_the_calls_that_are_passed_on(door, who):
    client = client_of(door, who, door.key("capture", name="owners"))
    first = await ask(client, "mixed", tools=TOOLS[:1])
    assert [one.function.name for one in first.choices[0].message.tool_calls] == [WEATHER]
    second = await client.chat.completions.create(
        model=MODEL, tools=TOOLS[:1], messages=answered(first, "rain all day", prompt="mixed")
    )
    assert "rain all day" in second.choices[0].message.content
    assert "Rhine" in second.choices[0].message.content
    taken = await raised(ask(client, "mixed", tools=[function("retrieve_knowledge", "query")]))
    assert taken.code == "tool_name_taken"


async def test_when_all_calls_are_denied_the_model_is_asked_again(client):
    found = await ask(client, "forbidden", tools=TOOLS)
    assert found.endocrine["not_offered"] == [FORBIDDEN]
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("[scripted] Then without.", "stop")
    assert found.endocrine["denied"]


async def test_a_result_of_a_call_that_was_not_passed_on_is_refused(client):
    first = await ask(client, "weather in Bonn", tools=TOOLS)
    for call_id in ("call_1", first.choices[0].message.tool_calls[0].id.replace("oa-", "oa-f")):
        messages = answered(first, "rain")
        messages[1]["tool_calls"][0]["id"] = messages[2]["tool_call_id"] = call_id
        error = await raised(client.chat.completions.create(model=MODEL, tools=TOOLS, messages=messages))
        assert (error.status_code, error.code) == (400, "unknown_tool_call")


async def test_somebody_else_does_not_continue_the_turn(client, door):
    first = await ask(client, "weather in Bonn", tools=TOOLS)
    stranger = client_of(door, "somebody-else")
    messages = answered(first, "rain")
    error = await raised(stranger.chat.completions.create(model=MODEL, tools=TOOLS, messages=messages))
    assert error.code == "unknown_tool_call"


async def test_a_blocked_prompt_never_reaches_the_model(client, model):
    before = len(model.seen)
    for stream in (False, True):
        error = await raised(ask(client, "how to poison my neighbour", stream=stream))
        assert (error.status_code, error.code) == (400, "content_policy_violation")
    assert len(model.seen) == before


async def test_a_withheld_answer_is_a_sentence_and_no_error(client):
    found = await ask(client, "a secret")
    assert found.choices[0].finish_reason == "content_filter"
    assert found.choices[0].message.content.startswith("The answer is withheld")
    assert SECRET not in text_of(await streamed(client, "a secret"))


async def test_windowed_text_leaves_behind_the_window_and_a_blocked_one_not(door, who):
    client = client_of(door, who, door.key("capture", name="windows"))
    assert text_of(await streamed(client, "hello")) == HELLO
    withheld = await streamed(client, "a secret")
    assert SECRET not in text_of(withheld)
    assert withheld[-1].choices[0].finish_reason == "content_filter"


async def test_a_spent_budget_is_insufficient_quota(client):
    error = await raised(ask(client, "x " * 15000))
    assert (type(error), error.code) == (openai.RateLimitError, "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"


async def test_a_turn_that_waits_for_a_person_is_not_answered(client, door, who, model):
    async with door.client() as operator:
        signal = {"identity": who, "name": "alignment_risk", "level": 0.97, "ttl_ms": 600000, "source": "test"}
        assert (await operator.post("/v1/signals", json=signal)).status_code == 202
    before = len(model.seen)
    error = await raised(ask(client, "hello"))
    assert (error.status_code, error.code) == (503, "decision_timeout")
    assert "person" in error.message
    assert len(model.seen) == before


async def test_without_a_decision_in_time_nothing_is_answered(door, who):
    async with served(door.settings, policy=door.policy, decision_s=0.000001) as late:
        error = await raised(ask(client_of(late, who), "hello"))
    assert (error.status_code, error.code) == (503, "decision_timeout")
    assert error.response.headers["x-should-retry"] == "false"


async def test_a_model_that_fails_is_a_status_and_after_headers_an_event(client):
    error = await raised(ask(client, "broken"))
    assert (error.status_code, error.code) == (502, "model_error")
    assert (await raised(ask(client, "limited"))).code == "model_rate_limited"
    assert (await raised(streamed(client, "broken"))).code == "model_error"


async def test_under_observe_nothing_is_changed_and_the_answer_says_what_would_be(door, who):
    client = client_of(door, who, door.key("capture", mode="observe"))
    found = await ask(client, "both", tools=TOOLS)
    assert [one.function.name for one in found.choices[0].message.tool_calls] == [WEATHER, FORBIDDEN]
    raw = await client.chat.completions.with_raw_response.create(
        model=MODEL, messages=user("how to poison my neighbour")
    )
    assert raw.parse().choices[0].finish_reason == "stop"
    assert raw.headers["endocrine-would"] == "content_policy_violation"


async def test_the_same_idempotency_key_is_the_same_turn(client, who):
    headers = {"idempotency-key": who}
    one, two = [await ask(client, "hello", extra_headers=headers) for _ in range(2)]
    assert one.id == two.id
    assert one.choices == two.choices
    error = await raised(ask(client, "other", extra_headers=headers))
    assert (error.status_code, error.code) == (422, "idempotency_key_reused")


async def test_models_are_those_of_the_policy_that_the_client_may_use(client):
    names = [one.id async for one in client.models.list()]
    assert names
    assert all(name.startswith("gpt-") for name in names)
    assert (await client.models.retrieve(MODEL)).id == MODEL
    error = await raised(client.chat.completions.create(model="other", messages=user("hello")))
    assert (type(error), error.code) == (openai.NotFoundError, "model_not_found")


async def test_every_error_under_openai_is_its_envelope(door, who):
    async with door.client(**{"endocrine-identity": who}) as client:
        body = {"model": MODEL, "messages": user("hello")}
        path = "/openai/v1/chat/completions"
        answers = {
            "invalid_api_key": await client.post(path, json=body, headers={"authorization": "Bearer no"}),
            "insufficient_scope": await client.post(
                path, json=body, headers={"authorization": f"Bearer {door.key('read')}"}
            ),
            "headers_too_large": await client.get("/openai/v1/models", headers={"x-long": "x" * 33000}),
            "request_too_large": await client.post(path, content=b" " * (2 << 20)),
            "invalid_json": await client.post(path, content=b"{"),
            "unknown_url": await client.post("/openai/v1/embeddings", json={}),
            "unsupported_parameter": await client.post(path, json={**body, "n": 2}),
        }
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        shown = {**body, "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image]}]}
        answers["invalid_value"] = await client.post(path, json=shown)
        refused = answers["invalid_value"].json()["error"]
        assert refused["param"] == "messages[0].content[1].image_url"
        assert refused["param"] in refused["message"]
        answers["unknown_url "] = await client.request("TRACE", path)
        for code, answer in answers.items():
            assert answer.json()["error"]["code"] == code.strip(), answer.text
            assert answer.headers["x-request-id"]
        assert (await client.get("/v1/nothing")).json()["type"] == "/problems/not_found"


async def test_headers_that_never_end_are_refused_in_the_envelope_too(door):
    _, _, address = door.url.partition("//")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /openai/v1/models HTTP/1.1\r\nx-long: " + b"x" * 50000)
    answer = (await reader.read()).decode()
    assert answer.startswith("HTTP/1.1 431 ")
    assert '"code":"headers_too_large"' in answer
    writer.close()


async def test_the_program_of_the_example_prints_a_governed_answer(door, who):
    program = Path(__file__).parents[3] / "examples" / "openai-base-url" / "chat.py"
    environment = {**os.environ, "ENDOCRINE_URL": door.url, "ENDOCRINE_API_KEY": door.secret}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", str(program), "hello", env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    answer, why = output.decode().splitlines()
    assert (process.returncode, answer) == (0, HELLO)
    assert why.startswith("why it was so: endocrine explain oa-")


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_the_agents_sdk_runs_its_own_tool(client, api):
    import agents  # here: each process of a run imports this file, and one runs it; this takes a second

    @agents.function_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"snow in {city}"

    agents.set_tracing_disabled(True)
    kind = agents.OpenAIChatCompletionsModel if api == "chat" else agents.OpenAIResponsesModel
    agent = agents.Agent(name="a", model=kind(MODEL, client), tools=[weather])
    result = await agents.Runner.run(agent, "weather in Bonn")
    assert "snow in Bonn" in result.final_output
    streamed = agents.Runner.run_streamed(agent, "weather in Bonn")
    async for _ in streamed.stream_events():
        pass
    assert "snow in Bonn" in streamed.final_output


def answered(first, content, prompt="weather in Bonn"):
    """The messages with which an application goes on."""
    message = first.choices[0].message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
    call = message["tool_calls"][0]
    return [*user(prompt), message, {"role": "tool", "tool_call_id": call["id"], "content": content}]
