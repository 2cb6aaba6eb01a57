"""Replies that look whole and are not, or that name their parts badly: never `ok` with something else in it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from endocrine.pipeline.connectors.model.failures import Failed


def events(*given: dict[str, Any]) -> bytes:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in given).encode()


def chunks(*deltas: dict[str, Any], finish: str | None) -> bytes:
    found = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    found += [] if finish is None else [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]
    return "".join(f"data: {json.dumps(one)}\n\n" for one in found).encode() + b"data: [DONE]\n\n"


def whole(message: dict[str, Any], finish: str = "stop") -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": arguments, **more}


def message(text: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def added(name: str, **more: Any) -> dict[str, Any]:
    item_id = {"id": more.pop("id")} if "id" in more else {}
    return {"type": "response.output_item.added", "item": call(name, "", **item_id), **more}


def ended(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "item": item, **more}


def arguments(delta: str, **more: Any) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "delta": delta, **more}


def text(delta: str, **more: Any) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": delta, "output_index": 0, "content_index": 0, **more}


def completed(*output: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"status": "completed", "output": list(output)}}


CALLED = (added("f", output_index=0), arguments('{"a":1}', output_index=0))
TWO = [("f", {"a": 1}), ("g", {"b": 2})]
NAMED_BADLY = {
    "the last event without arguments": ((*CALLED, completed(call("f", ""))), TWO[:1]),
    "the last event with null for them": ((*CALLED, completed(call("f", None))), TWO[:1]),
    "the last event with an empty object": ((*CALLED, completed(call("f", "{}"))), TWO[:1]),
    "an item that is done without them": ((*CALLED, ended(call("f", ""), output_index=0), completed()), TWO[:1]),
    "arguments that are done and empty": (
        (*CALLED, {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": ""}, completed()),
        TWO[:1],
    ),
    "no places at all": (
        (added("f"), arguments('{"a":1}'), added("g"), arguments('{"b":2}'), completed()),
        TWO,
    ),
    "ids in place of places": (
        (
            added("f", id="i1"),
            added("g", id="i2"),
            arguments('{"a":1}', item_id="i1"),
            arguments('{"b":2}', item_id="i2"),
            completed(),
        ),
        TWO,
    ),
    "every place 0": (
        (
            added("f", id="i1", output_index=0),
            arguments('{"a":1}', item_id="i1", output_index=0),
            ended(call("f", '{"a":1}', id="i1"), output_index=0),
            added("g", id="i2", output_index=0),
            arguments('{"b":2}', item_id="i2", output_index=0),
            ended(call("g", '{"b":2}', id="i2"), output_index=0),
            completed(),
        ),
        TWO,
    ),
    "another id in every event": (
        (
            added("f", id="x1", output_index=0),
            arguments('{"a"', item_id="x2", output_index=0),
            arguments(":1}", item_id="x3", output_index=0),
            added("g", id="x4", output_index=1),
            arguments('{"b":2}', item_id="x5", output_index=1),
            ended(call("f", '{"a":1}', id="x6"), output_index=0),
            ended(call("g", '{"b":2}', id="x7"), output_index=1),
            completed(),
        ),
        TWO,
    ),
}


@pytest.mark.parametrize("name", NAMED_BADLY)
def test_calls_of_a_responses_stream_keep_their_arguments(replies: SimpleNamespace, name: str) -> None:
    given, expected = NAMED_BADLY[name]
    assert list(replies.read("responses", events(*given)).calls) == expected


EMPTY_ENDS = {
    "a last message that is empty": (completed(message("")),),
    "a last message that is shorter": (completed(message("he")),),
    "a last message without content": (completed({"type": "message", "content": None}),),
    "a text that is done and empty": (
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": ""},
        completed(),
    ),
    "an item that is done and empty": (ended(message(""), output_index=0), completed()),
}


@pytest.mark.parametrize("name", EMPTY_ENDS)
def test_an_end_that_says_less_takes_nothing_from_the_text(replies: SimpleNamespace, name: str) -> None:
    outcome = replies.read("responses", events(text("he"), text("llo"), *EMPTY_ENDS[name]))
    assert (outcome.content, outcome.problem) == ("hello", None)


def test_a_text_and_a_call_at_one_place_are_both_kept(replies: SimpleNamespace) -> None:
    outcome = replies.read("responses", events(text("hi"), ended(call("f", '{"a":1}'), output_index=0), completed()))
    assert (outcome.content, list(outcome.calls)) == ("hi", TWO[:1])


def test_a_refusal_outlives_an_empty_end(replies: SimpleNamespace) -> None:
    place = {"output_index": 0, "content_index": 0}
    given = {"type": "response.refusal.delta", "delta": "no", **place}
    end = {"type": "response.refusal.done", "refusal": "", **place}
    assert replies.read("responses", events(given, end, completed(message("")))).refusal == "no"


def test_the_users_own_words_in_the_output_are_not_the_answer(replies: SimpleNamespace) -> None:
    echoed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "question"}]}
    data = json.dumps({"status": "completed", "output": [echoed, message("answer")]}).encode()
    assert replies.read("responses", data).content == "answer"


BEGUN = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}
CUT_CALLS = {
    "a stream at the limit": ("chat", chunks(BEGUN, finish="length")),
    "a whole reply at the limit": (
        "chat",
        whole({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]}, "length"),
    ),
    "an incomplete response": (
        "responses",
        json.dumps({"status": "incomplete", "output": [call("f", "")]}).encode(),
    ),
    "an incomplete item": (
        "responses",
        json.dumps({"status": "completed", "output": [call("f", "", status="incomplete")]}).encode(),
    ),
}


@pytest.mark.parametrize("name", CUT_CALLS)
def test_a_call_that_was_cut_before_its_arguments_is_no_call_without_arguments(
    replies: SimpleNamespace, name: str
) -> None:
    outcome = replies.read(*CUT_CALLS[name])
    assert (outcome.problem or "").startswith("token_limit:")


@pytest.mark.parametrize("given", ["", '{"a":'])
def test_a_stream_that_ends_within_a_call_and_gives_no_reason_is_cut(replies: SimpleNamespace, given: str) -> None:
    piece = {"tool_calls": [{"index": 0, "function": {"arguments": given}}]}
    with pytest.raises(Failed, match="stream_cut"):
        replies.read("chat", chunks(BEGUN, piece, finish=None))


@pytest.mark.parametrize("given", ['{"a":1,"a":2}', '{"a":12345678901234567890}', '{"a":{"b":1,"b":2}}'])
def test_arguments_that_two_readers_read_differently_stay_as_they_came(replies: SimpleNamespace, given: str) -> None:
    called = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": given}}]}
    assert replies.read("chat", whole(called, "tool_calls")).calls == (("f", given),)


def test_two_answers_without_an_index_are_not_one(replies: SimpleNamespace) -> None:
    both = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("one", "other")]
    with pytest.raises(Failed, match="several choices"):
        replies.read("chat", json.dumps({"choices": both}).encode())


@pytest.mark.parametrize(
    "given",
    ['<tool_call>\n{"name": "f"}\n</tool_call>', '[TOOL_CALLS][{"name":"f"}]', '<|python_tag|>{"name": "f"}'],
)
def test_a_call_in_the_models_own_notation_is_no_answer(replies: SimpleNamespace, given: str) -> None:
    assert (replies.read("chat", whole({"content": given})).problem or "").startswith("malformed_reply:")


def test_a_text_about_that_notation_is_an_answer(replies: SimpleNamespace) -> None:
    outcome = replies.read("chat", whole({"content": "Qwen writes `<tool_call>` before a call."}))
    assert (outcome.content, outcome.problem) == ("Qwen writes `<tool_call>` before a call.", None)


@pytest.mark.parametrize(
    "given",
    [
        "<|channel|>analysis<|message|>A sum.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        "<seed:think>A sum.</seed:think>4",
        "\u25c1think\u25b7A sum.\u25c1/think\u25b7\n4",
    ],
)
def test_reasoning_in_other_notations_reaches_nobody(replies: SimpleNamespace, given: str) -> None:
    outcome = replies.read("chat", whole({"content": given}))
    assert (outcome.content, outcome.reasoning_chars) == ("4", 6)
