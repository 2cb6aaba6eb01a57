"""What a request of the Responses API asks for, and what it may not."""

import orjson
import pytest

from endocrine.pipeline.gateway.openai.chat_request import parse_chat
from endocrine.pipeline.gateway.openai.opening import turn_request
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.responses_request import parse_responses

CALLER = Caller("shop", frozenset())
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "weather",
    "arguments": "{}",
    "status": "completed",
}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "rain"}


def parse(**body):
    return parse_responses(orjson.dumps({"model": "small", "input": "Hello", **body}))


def refused(**body):
    with pytest.raises(Refused) as caught:
        parse(**body)
    return caught.value.code, caught.value.param


def test_both_apis_give_one_and_the_same_turn():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    parsed = parse(
        instructions="Be kind.",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            },
            CALL,
            OUTPUT,
            {"role": "user", "content": "And now?"},
        ],
        tools=[TOOL],
        tool_choice={"type": "function", "name": "weather"},
        text={"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}},
        reasoning={"effort": "low", "summary": "auto"},
        max_output_tokens=50,
        temperature=1,
    )
    chat = parse_chat(
        orjson.dumps(
            {
                "model": "small",
                "messages": [
                    {"role": "developer", "content": "Be kind."},
                    {"role": "user", "content": "Weather?"},
                    {
                        "role": "assistant",
                        "content": "I look.",
                        "tool_calls": [
                            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
                    {"role": "user", "content": "And now?"},
                ],
                "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": schema, "strict": True},
                },
                "reasoning_effort": "low",
                "max_completion_tokens": 50,
                "temperature": 1,
            }
        )
    )
    one, other = (turn_request(p, CALLER, ApplicationRules(), {}, session_key=b"k") for p in (parsed, chat))
    assert one.opened == other.opened


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "computer_call_output"}]}, "input[0].type"),
        (
            {"input": [CALL, {**OUTPUT, "output": [{"type": "input_image", "image_url": "data:"}]}]},
            "input[1].output[0]",
        ),
    ],
)
def test_what_is_not_supported_is_named(body, param):
    assert refused(**body) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": []}, "unknown_parameter", "messages"),
        ({"n": 1}, "unknown_parameter", "n"),
        ({"input": [{"role": "user", "content": "x", "y": 1}]}, "unknown_parameter", "input[0].y"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": 5}, "invalid_value", "input"),
        ({"input": ["x"]}, "invalid_value", "input[0]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"type": "reasoning", "id": "r"}]}, "invalid_value", "input"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "missing_required_parameter",
            "text.format.schema",
        ),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(body, code, param):
    assert refused(**body) == (code, param)


def test_what_changes_nothing_is_accepted():
    parsed = parse(
        store=False,
        background=False,
        truncation="disabled",
        previous_response_id=None,
        include=["reasoning.encrypted_content"],
        service_tier="auto",
        text={"format": {"type": "text"}},
    )
    assert parsed.asked == {}


def test_results_of_earlier_steps_are_answered_too_and_duplicates_are_refused():
    second = {**CALL, "call_id": "c2"}
    parsed = parse(input=[{"role": "user", "content": "x"}, CALL, OUTPUT, second, {**OUTPUT, "call_id": "c2"}])
    assert parsed.conversation.continues
    assert [one.call_id for one in parsed.conversation.answered()] == ["c1", "c2"]
    for tail, code in (([CALL, OUTPUT, OUTPUT], "duplicate_tool_result"), ([OUTPUT], "unknown_tool_call")):
        with pytest.raises(Refused) as caught:
            parse(input=[{"role": "user", "content": "x"}, *tail]).conversation.answered()
        assert caught.value.code == code


def test_a_reference_to_text_beside_the_calls_of_a_continued_turn_is_accepted():
    reference = {"type": "item_reference", "id": "msg_1"}
    parsed = parse(input=[{"role": "user", "content": "x"}, reference, CALL, OUTPUT])
    assert [one.call_id for one in parsed.conversation.answered()] == ["c1"]
    assert refused(input=[reference, {"role": "user", "content": "x"}, CALL, OUTPUT]) == (
        "unsupported_parameter",
        "input[0].type",
    )
    assert refused(input=[{"role": "user", "content": "x"}, reference]) == ("unsupported_parameter", "input[1].type")
