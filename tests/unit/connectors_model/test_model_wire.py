"""Requests in the words of the two APIs, verdicts, and what replies cost."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.conversation.capabilities import Price, ReplyBounds
from endocrine.pipeline.connectors.model.account import cost
from endocrine.pipeline.connectors.model.chat_replies import ChatReply
from endocrine.pipeline.connectors.model.failures import Failed, Malformed
from endocrine.pipeline.connectors.model.moderation import moderation_outcome
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.provider_errors import retry_after
from endocrine.pipeline.connectors.model.response_replies import ResponsesReply
from endocrine.pipeline.connectors.model.wire import cache_key, call_id, call_ids, chat_body, responses_body
from properties import examples

CALL = {"id": "call-1", "type": "function", "function": {"name": "open_url", "arguments": '{"url": "x"}'}}
VALUE: dict[str, Any] = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": "a page"},
    ],
    "tools": [{"name": "open_url", "description": "Open.", "parameters": {"type": "object"}}],
    "parameters": {"max_output_tokens": 300, "reasoning_effort": "low", "stop": ["END"]},
}


def test_chat_completions_get_the_models_name_for_the_token_limit() -> None:
    body = chat_body(VALUE, "max_completion_tokens")
    assert body["max_completion_tokens"] == 300
    assert "max_output_tokens" not in body
    assert body["reasoning_effort"] == "low"
    assert body["stop"] == ["END"]
    asked, answered = body["messages"][2:]
    assert asked["tool_calls"][0]["function"] == CALL["function"]
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
    assert body["tools"] == [{"type": "function", "function": VALUE["tools"][0]}]


def test_responses_get_items_a_flat_tool_and_nothing_stored() -> None:
    body = responses_body(VALUE)
    assert body["store"] is False
    assert body["reasoning"] == {"effort": "low"}
    assert body["max_output_tokens"] == 300
    assert body["input"][2:] == [
        {"type": "function_call", "call_id": "call-1", "name": "open_url", "arguments": '{"url": "x"}'},
        {"type": "function_call_output", "call_id": "call-1", "output": "a page"},
    ]
    assert body["tools"] == [{"type": "function", "strict": False, **VALUE["tools"][0]}]


def test_an_id_longer_than_providers_take_is_the_same_short_one_in_call_and_result() -> None:
    long = "conversation/" + "x" * 80
    call = {**CALL, "id": long}
    result = {"role": "tool", "tool_call_id": long, "content": "a page"}
    value = VALUE | {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}, result]}
    asked, answered = chat_body(value, "max_tokens")["messages"]
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
    first, second = [item["call_id"] for item in responses_body(value)["input"]]
    assert first == second
    assert len(first) <= 40


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=40))
@settings(max_examples=examples(50))
def test_ids_in_chat_are_nine_letters_and_digits_each_its_own_from_step_to_step(ids: list[str]) -> None:
    """Mistral takes no others, wherever it runs."""
    messages = [{"role": "tool", "tool_call_id": one, "content": "x"} for one in ids]
    sent = call_ids(messages)
    assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in sent.values())
    assert len(set(sent.values())) == len(set(ids))
    assert {
        one: call_ids(messages[: len(ids) // 2 + 1])[one] for one in ids[: len(ids) // 2 + 1]
    }.items() <= sent.items()


@pytest.mark.parametrize(
    "body", [lambda value: chat_body(value, "max_tokens")["messages"], lambda value: responses_body(value)["input"]]
)
def test_all_of_the_system_goes_out_as_one_message_at_the_front(body: Any) -> None:
    said = ["Be brief.", [{"type": "text", "text": "Cite."}], "Late."]
    messages = [
        {"role": "system", "content": said[0]},
        {"role": "system", "content": said[1]},
        {"role": "user", "content": "Look."},
        {"role": "developer", "content": said[2]},
        {"role": "user", "content": "Now."},
    ]
    sent = body(VALUE | {"messages": messages})
    assert [message["role"] for message in sent] == ["system", "user", "user"]
    assert sent[0]["content"] == "Be brief.\n\nCite.\n\nLate."


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["END"], ["END"]),
        ("END", ["END"]),
        ([], None),
        (None, None),
        (["a", "", 5, "b", "c", "d", "e"], ["a", "b", "c", "d"]),
    ],
)
def test_stop_sequences_are_sent_as_chat_takes_them_and_never_to_the_responses_api(given: Any, sent: Any) -> None:
    value = VALUE | {"parameters": {"stop": given}}
    assert chat_body(value, "max_tokens").get("stop") == sent
    assert "stop" not in responses_body(value)


@given(st.text(min_size=1, max_size=256), st.integers(0, 500))
@settings(max_examples=examples(100))
def test_ids_of_calls_are_short_and_the_same_for_the_same_place(request: str, ordinal: int) -> None:
    assert call_id(request, ordinal) == call_id(request, ordinal)
    assert call_id(request, ordinal) != call_id(request, ordinal + 1)
    assert len(call_id(request, ordinal)) <= 40


def test_requests_that_begin_alike_have_one_cache_key() -> None:
    longer = VALUE | {"messages": [*VALUE["messages"], {"role": "user", "content": "More."}]}
    assert cache_key(VALUE) == cache_key(longer)
    other = VALUE | {"messages": [{"role": "system", "content": "Be long."}, *VALUE["messages"][1:]]}
    assert cache_key(VALUE) != cache_key(other)


def chat(body: Any) -> Outcome:
    return ChatReply(ReplyBounds(), lambda word: True).whole(body)


def response(body: Any) -> Outcome:
    return ResponsesReply(ReplyBounds(), lambda word: True).whole(body)


@pytest.mark.parametrize("text", ['{"url": "http', "[1, 2]", '"url"', '{"k": NaN}'])
def test_arguments_that_are_no_json_object_stay_the_text_they_are(text: str) -> None:
    message = {"tool_calls": [{"function": {"name": "open_url", "arguments": text}}]}
    outcome = chat({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert outcome.calls == (("open_url", text),)


@pytest.mark.parametrize("nothing", ["", "  ", "null", None, [], "[]", {}, "{}"])
def test_arguments_that_are_nothing_are_an_empty_object(nothing: Any) -> None:
    message = {"tool_calls": [{"function": {"name": "open_url", "arguments": nothing}}]}
    outcome = chat({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert outcome.calls == (("open_url", {}),)


@pytest.mark.parametrize(
    "body", [None, "<html>", {}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": None}]}, {"choices": 1}]
)
def test_what_is_no_chat_completion_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        chat(body)


@pytest.mark.parametrize("body", [None, [], {}, {"output": None}, {"output": 5, "status": "completed"}])
def test_what_is_no_response_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        response(body)


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
    ],
)
def test_why_a_response_ended_has_one_word_in_both_apis(status: str, reason: str | None, finish: str) -> None:
    content = [{"type": "output_text", "text": "hi"}]
    body = {
        "status": status,
        "incomplete_details": reason and {"reason": reason},
        "output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": content}],
    }
    assert (response(body).content, response(body).finish_reason) == ("hi", finish)


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"category_scores": {"violence": "high"}}]},
        {"results": [{"category_scores": {"violence": float("nan")}}]},
        {"results": [{"category_scores": {"x" * 65: 0.1}}]},
        {"results": [{"category_scores": None}]},
        {"results": []},
        {"error": {"message": "no", "code": "server_error"}},
        [],
    ],
)
def test_what_is_no_verdict_is_an_error(body: Any) -> None:
    with pytest.raises(Failed):
        moderation_outcome(body)


def test_a_moderation_keeps_the_scores_that_there_are() -> None:
    found = {"flagged": True, "category_scores": {"violence": 0.9, "illicit": None}}
    assert moderation_outcome({"results": [found]}).content == '{"flagged":true,"scores":{"violence":0.9}}'


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:05 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, 10.0) == seconds


def test_cached_tokens_cost_their_own_price() -> None:
    outcome = Outcome("hi", None, (), "stop", None, 1_000_000, 400_000, 500_000)
    assert cost(Price(input=2.0, cached_input=0.5, output=8.0), outcome) == pytest.approx(1.2 + 0.2 + 4.0)
    assert cost(Price(input=2.0, output=8.0), outcome) == pytest.approx(6.0)
    assert cost(None, outcome) is None


@pytest.mark.parametrize(
    "form", ["response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"]
)
def test_an_object_in_place_of_a_piece_of_text_is_malformed(form: str) -> None:
    reply = ResponsesReply(ReplyBounds(), lambda word: True)
    with pytest.raises(Malformed):
        reply.event("", {"type": form, "output_index": 0, "content_index": 0, "delta": {"x": 1}})
