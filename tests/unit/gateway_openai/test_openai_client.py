"""The official Python client against the endpoint: answers, streams, tool calls, and the exception of every refusal."""

import asyncio
import threading

import httpx2
import openai
import pytest

from endocrine.pipeline.gateway.openai.port import ApplicationRules, ClosedTurn
from scripted_turns import FORBIDDEN, SENTENCE, chunks, closed

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
FLAT = [{"type": "function", **TOOLS[0]["function"]}]


def user(text):
    return [{"role": "user", "content": text}]


def chat(client, text, **other):
    return client.chat.completions.create(model="small", messages=user(text), **other)


def respond(client, text, **other):
    return client.responses.create(model="small", input=text, **other)


def test_a_chat_completion_has_the_answer_its_usage_and_what_was_decided(client):
    raw = client.chat.completions.with_raw_response.create(
        model="small", messages=user("hello"), temperature=0.9, max_tokens=50
    )
    found = raw.parse()
    assert found.choices[0].message.content == "Hello, wörld. " * 20
    assert found.choices[0].finish_reason == "stop"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (11, 7, 18)
    assert found.endocrine == {"audit_id": "turn-1", "finish": "answered"}
    assert raw.headers["endocrine-audit-id"] == "turn-1"
    assert raw.headers["endocrine-mode"] == "strict"
    assert raw.headers["endocrine-policy"] == "ab" * 32
    assert raw.headers["endocrine-revision"] == "0"
    assert raw.headers["endocrine-asked"] == '{"temperature":0.9,"max_output_tokens":50}'
    assert raw.headers["endocrine-sent"] == '{"temperature":0.1,"top_p":0.5,"max_output_tokens":256}'
    assert raw.headers["x-request-id"] == "request-0"
    assert "endocrine-would" not in raw.headers


def test_a_chat_stream_has_role_deltas_finish_usage_and_what_was_decided(client):
    chunks = list(chat(client, "hello", stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello, wörld. " * 20
    assert len(chunks) > 4
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 18
    assert chunks[-1].endocrine["finish"] == "answered"
    assert len({c.id for c in chunks}) == 1


def test_without_include_usage_the_finish_chunk_is_the_last(client):
    last = list(chat(client, "hello", stream=True))[-1]
    assert last.choices[0].finish_reason == "stop"
    assert last.endocrine["audit_id"] == "turn-1"


def test_heartbeats_go_out_while_the_turn_waits(port, base_url):
    """The server is asked by hand: clients skip comments."""
    gate = asyncio.Event()
    port.scripts["slow"] = (gate, ClosedTurn("answered", "At last."))
    body = {"model": "small", "messages": user("slow"), "stream": True}
    with httpx2.stream(
        "POST", f"{base_url}/chat/completions", json=body, headers={"authorization": "Bearer good"}, timeout=20
    ) as answer:
        seen, opened = "", False
        for piece in answer.iter_text():
            seen += piece
            if seen.count(": waiting") >= 2 and not opened:
                opened = True
                port.loop.call_soon_threadsafe(gate.set)
    assert opened
    assert seen.index('"role":"assistant"') < seen.index(": waiting") < seen.index("At last.")
    assert seen.endswith("data: [DONE]\n\n")


def test_a_response_has_the_answer_and_metadata(client):
    found = respond(client, "hello", metadata={"mine": "1"}, instructions="Be kind.", temperature=0.9)
    assert found.output_text == "Hello, wörld. " * 20
    assert found.status == "completed"
    assert found.store is False
    assert found.temperature == 0.1
    assert found.metadata == {"mine": "1", "endocrine-audit-id": "turn-1", "endocrine-finish": "answered"}
    assert found.usage.total_tokens == 18


def test_a_response_stream_has_the_whole_life_of_its_item(client):
    events = list(respond(client, "hello", stream=True))
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == "Hello, wörld. " * 20
    assert events[-1].response.metadata["endocrine-finish"] == "answered"


def test_the_helpers_of_the_client_that_accumulate_streams_work(client):
    with client.responses.stream(model="small", input="hello") as stream:
        assert stream.get_final_response().output_text == "Hello, wörld. " * 20
    with client.chat.completions.stream(model="small", messages=user("hello")) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello, wörld. " * 20


def test_a_cut_answer_is_length_in_chat_and_completed_with_its_reason_in_responses(client):
    assert chat(client, "cut").choices[0].finish_reason == "length"
    found = respond(client, "cut")
    assert (found.status, found.incomplete_details.reason) == ("completed", "max_output_tokens")


@pytest.mark.parametrize("stream", [False, True])
def test_only_allowed_calls_are_passed_on_and_their_results_continue_the_turn(client, port, stream):
    if stream:
        with client.chat.completions.stream(model="small", messages=user("weather"), tools=TOOLS) as made:
            found = made.get_final_completion()
    else:
        found = chat(client, "weather", tools=TOOLS)
    message = found.choices[0].message
    assert found.choices[0].finish_reason == "tool_calls"
    assert [call.id for call in message.tool_calls] == ["call_1", "call_2"]
    assert FORBIDDEN not in found.model_dump_json()
    assert "call_evil" not in found.model_dump_json()
    if not stream:  # the helper that accumulates drops what it does not know
        assert found.endocrine["denied"] == {"not_in_allowlist": 1}
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"rain {call.id}"} for call in message.tool_calls]
    written = message.model_dump()
    going_on = client.chat.completions.create(
        model="small", messages=[*user("weather"), written, *results], tools=TOOLS, stream=False
    )
    assert going_on.choices[0].message.content == "It rains in Bonn, not in Köln."
    assert going_on.endocrine["audit_id"] == "turn-1"
    assert going_on.id != found.id
    assert [one.content for one in port.resumed[0].results] == ["rain call_1", "rain call_2"]
    assert len(port.opened) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_calls_and_results_of_the_responses_api(client, port, stream):
    if stream:
        events = list(respond(client, "weather", tools=FLAT, stream=True))
        found = events[-1].response
        assert [event.type for event in events[2:6]] == [
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        assert [event.output_index for event in events if event.type == "response.output_item.done"] == [0, 1]
    else:
        found = respond(client, "weather", tools=FLAT)
    assert [item.type for item in found.output] == ["function_call", "function_call"]
    history = [{"role": "user", "content": "weather"}]
    for item in found.output:  # call and output by turns, as some clients write them
        history.append(item.model_dump(exclude_none=True))
        history.append({"type": "function_call_output", "call_id": item.call_id, "output": "rain"})
    going_on = client.responses.create(model="small", input=history, tools=FLAT)
    assert going_on.output_text == "It rains in Bonn, not in Köln."
    assert [one.call_id for one in port.resumed[0].results] == ["call_1", "call_2"]


def test_where_all_calls_are_denied_only_the_later_answer_arrives(client):
    found = chat(client, "all denied", tools=TOOLS)
    assert found.choices[0].message.content == "Then without."
    assert found.choices[0].message.tool_calls is None
    assert FORBIDDEN not in found.model_dump_json()


@pytest.mark.parametrize("stream", [False, True])
def test_a_withheld_answer_is_the_sentence_and_no_exception(client, port, stream):
    def first(finish):
        found = chat(client, "withheld", stream=stream)
        if not stream:
            assert found.choices[0].message.refusal is None
            return found.choices[0].message.content, found.choices[0].finish_reason, found.endocrine
        chunks = list(found)
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        return text, chunks[-1].choices[0].finish_reason, chunks[-1].endocrine

    text, reason, facts = first("content_filter")
    assert (text, reason, facts["reason"]) == (SENTENCE, "content_filter", "secrets")
    port.application = ApplicationRules(withheld_finish="stop")
    assert first("stop")[:2] == (SENTENCE, "stop")
    found = respond(client, "withheld", stream=stream)
    last = list(found)[-1].response if stream else found
    assert (last.status, last.output_text) == ("completed", SENTENCE)
    assert last.metadata["endocrine-finish"] == "output_blocked"
    assert last.metadata["endocrine-reason"] == "secrets"


def test_a_turn_that_ends_at_the_step_limit_stops(client):
    assert chat(client, "steps").choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("call", [chat, respond])
@pytest.mark.parametrize(
    ("prompt", "raised", "status", "code", "retry"),
    [
        ("blocked prompt", openai.BadRequestError, 400, "content_policy_violation", "false"),
        ("budget", openai.RateLimitError, 429, "insufficient_quota", "false"),
        ("no decision", openai.InternalServerError, 503, "decision_timeout", "false"),
        ("rate", openai.RateLimitError, 429, "rate_limited", None),
    ],
)
def test_a_refusal_before_the_answer_is_a_real_status(client, call, stream, prompt, raised, status, code, retry):
    with pytest.raises(raised) as caught:
        call(client, prompt, stream=stream)
    error = caught.value
    assert (error.status_code, error.code) == (status, code)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.request_id.startswith("request-")
    assert error.response.headers.get("x-should-retry") == retry
    if prompt == "rate":
        assert error.response.headers["retry-after"] == "1"
        assert error.response.headers["retry-after-ms"] == "1"


@pytest.mark.parametrize("call", [chat, respond])
@pytest.mark.parametrize(
    ("prompt", "raised", "status", "code"),
    [
        ("model limited", openai.RateLimitError, 429, "model_rate_limited"),
        ("model error", openai.InternalServerError, 502, "model_error"),
        ("model timeout", openai.InternalServerError, 504, "model_timeout"),
        ("broken", openai.InternalServerError, 500, "internal_error"),
    ],
)
def test_a_model_that_fails_is_a_status_before_and_an_event_after_the_headers(
    client, call, prompt, raised, status, code
):
    with pytest.raises(raised) as caught:
        call(client, prompt)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "private" not in caught.value.response.text
    if code == "model_rate_limited":
        assert caught.value.response.headers["retry-after"] == "2"
        assert caught.value.response.headers["retry-after-ms"] == "1500"
    with pytest.raises(openai.APIError) as late:
        list(call(client, prompt, stream=True))
    assert late.value.code == code
    assert "private" not in str(late.value)


def test_the_client_tries_again_where_it_may_and_not_where_it_may_not(base_url, port):
    with openai.OpenAI(base_url=base_url, api_key="good", max_retries=1) as client:
        for prompt, tries in (("rate", 2), ("budget", 1), ("no decision", 1), ("blocked prompt", 1)):
            port.opened.clear()
            with pytest.raises(openai.APIStatusError):
                chat(client, prompt)
            assert (prompt, len(port.opened)) == (prompt, tries)


def test_who_may_not_is_refused(base_url):
    for key, raised, code in (
        ("wrong", openai.AuthenticationError, "invalid_api_key"),
        ("none", openai.PermissionDeniedError, "insufficient_scope"),
    ):
        with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            with pytest.raises(raised) as caught:
                chat(client, "hello")
            assert caught.value.code == code
            with pytest.raises(raised):
                client.models.list()


def test_models_are_listed_and_others_are_not_found(client):
    assert [model.id for model in client.models.list()] == ["small", "vendor/large"]
    assert client.models.retrieve("vendor/large").id == "vendor/large"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="other", messages=user("hello"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_anything_else_is_an_unknown_url_that_names_what_is_served(client):
    for call in (
        lambda: client.embeddings.create(model="small", input="x"),
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.files.list(),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.code == "unknown_url"
        assert "POST /chat/completions" in caught.value.message


def results(*ids, call_ids=("call_1", "call_2"), city="Bonn"):
    cities = {"call_1": city, "call_2": "Köln"}
    calls = [
        {"id": one, "type": "function", "function": {"name": "weather", "arguments": f'{{ "city" : "{cities[one]}" }}'}}
        for one in call_ids
    ]
    return [
        *user("weather"),
        {"role": "assistant", "content": "", "tool_calls": calls},
        *({"role": "tool", "tool_call_id": one, "content": "rain"} for one in ids),
    ]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (results("call_1"), "missing_tool_result"),
        (results("call_1", "call_1", "call_2"), "duplicate_tool_result"),
        (results("call_1", "call_evil"), "unknown_tool_call"),
        (results("call_1", "call_2", city="Rom"), "unknown_tool_call"),
    ],
)
def test_results_that_do_not_answer_the_calls_are_refused(client, port, messages, code):
    chat(client, "weather", tools=TOOLS)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=messages, tools=TOOLS)
    assert caught.value.code == code
    assert port.resumed == []
    client.chat.completions.create(model="small", messages=results("call_2", "call_1"), tools=TOOLS)
    assert len(port.resumed) == 1


def test_results_of_a_call_that_nobody_passed_on_are_refused(client, port):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=results("call_1", "call_2"), tools=TOOLS)
    assert caught.value.code == "unknown_tool_call"


def test_under_observe_everything_passes_and_a_header_says_what_would_have_been(base_url, port):
    with openai.OpenAI(base_url=base_url, api_key="watch", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="other", messages=user("weather"), tools=TOOLS)
        found = raw.parse()
        assert [call.function.name for call in found.choices[0].message.tool_calls] == ["weather", FORBIDDEN, "weather"]
        assert raw.headers["endocrine-would"] == "model_not_found,denied"
        assert port.opened[0].opened["enforce"] is False
        unknown = results("call_1", call_ids=("call_1",))
        port.passed_on.clear()
        client.chat.completions.create(model="small", messages=unknown)
        assert port.opened[-1].would == ("unknown_tool_call",)


@pytest.mark.parametrize("call", [chat, respond])
def test_a_windowed_stream_ends_with_the_sentence_before_what_is_forbidden(client, port, call):
    port.application = ApplicationRules(stream="windowed")
    if call is chat:
        parts = list(chat(client, "windowed", stream=True))
        text = "".join(part.choices[0].delta.content or "" for part in parts)
        assert parts[-1].choices[0].finish_reason == "content_filter"
        assert parts[-1].endocrine["streamed"] == "windowed"
    else:
        parts = list(respond(client, "windowed", stream=True))
        text = "".join(part.delta for part in parts if part.type == "response.output_text.delta")
        assert parts[-1].response.metadata["endocrine-streamed"] == "windowed"
    assert "SECRET" not in text
    assert text.startswith("All is well. ")
    assert text.endswith(f"\n\n{SENTENCE}")


def test_a_windowed_stream_that_a_connector_begins_anew_ends_with_an_error(client, port):
    port.application = ApplicationRules(stream="windowed")
    first, second = chunks("All is well. " * 10, 7), chunks("Other words. " * 10, 7)
    port.scripts["taken over"] = (*first, *second, closed("Other words. " * 10))
    with pytest.raises(openai.APIError) as caught:
        list(chat(client, "taken over", stream=True))
    assert caught.value.code == "model_error"


def test_a_client_that_leaves_frees_its_turn(client, port):
    gate = asyncio.Event()
    port.scripts["long"] = (gate,)
    stream = chat(client, "long", stream=True)
    next(iter(stream))
    stream.close()
    for _ in range(1000):
        if port.following == 0:
            break
        threading.Event().wait(0.01)
    assert port.following == 0
