"""Tool calls, token counts and parameters as the libraries of providers give and take them."""

from types import SimpleNamespace as Object

import pytest

from endocrine_client import Functions, Parameters, ToolCall
from endocrine_client.calls import usage_of
from endocrine_client.testing import BALANCED, KNOWLEDGE

WANTED = ToolCall("c1", "look_up", {"day": "mon"})
SHAPES = {
    "chat completions": Object(id="c1", type="function", function=Object(name="look_up", arguments='{"day":"mon"}')),
    "chat completions as JSON": {"id": "c1", "function": {"name": "look_up", "arguments": '{"day": "mon"}'}},
    "responses": Object(id="fc_1", call_id="c1", name="look_up", arguments='{"day":"mon"}'),
    "anthropic": Object(id="c1", type="tool_use", name="look_up", input={"day": "mon"}),
    "langchain": {"id": "c1", "type": "tool_call", "name": "look_up", "args": {"day": "mon"}},
    "ai sdk": {"toolCallId": "c1", "toolName": "look_up", "input": {"day": "mon"}},
    "ours": WANTED,
}


@pytest.mark.parametrize("call", SHAPES.values(), ids=SHAPES)
def test_a_call_is_read_in_each_shape(call):
    assert ToolCall.of(call) == WANTED


@pytest.mark.parametrize("text", ["{", "[1]", '{"x": NaN}', '{"x": 1e999}', "\ud800"])
def test_arguments_that_are_no_json_object_stay_the_text_that_the_model_wrote(text):
    assert ToolCall.of({"id": "c", "name": "f", "arguments": text}).arguments == text


def test_no_arguments_are_an_empty_object():
    assert ToolCall.of({"id": "c", "name": "f", "arguments": ""}).arguments == {}
    assert ToolCall.of({"id": "c", "name": "f"}).arguments == {}


@pytest.mark.parametrize("call", [None, 5, {}, {"id": "c"}, {"name": "f"}, {"id": "c", "name": "f", "arguments": [1]}])
def test_what_is_no_call_is_named_by_its_kind(call):
    with pytest.raises(TypeError, match="expected"):
        ToolCall.of(call)


def test_tokens_are_counted_in_each_vocabulary():
    expected = {"input_tokens": 3, "output_tokens": 2}
    assert usage_of(Object(prompt_tokens=3, completion_tokens=2)) == expected
    assert usage_of({"input_tokens": 3, "output_tokens": 2}) == expected
    assert usage_of({"input_tokens": 3}) is usage_of({"input_tokens": -1, "output_tokens": 2}) is usage_of("x") is None


@pytest.mark.parametrize(("share", "word"), [(0.33, "low"), (0.34, "medium"), (0.66, "medium"), (0.67, "high")])
def test_an_effort_has_the_words_of_the_model_connector(share, word):
    from dataclasses import replace

    parameters = replace(BALANCED, reasoning_effort=share)
    assert parameters.openai(reasoning=True) == {"reasoning_effort": word, "max_completion_tokens": 900}
    responses = parameters.openai(api="responses", reasoning=True)
    assert responses == {"reasoning": {"effort": word}, "max_output_tokens": 900}


def test_functions_are_tools_of_either_api():
    functions = Functions.from_json([KNOWLEDGE])
    assert functions.names == ("retrieve_knowledge",)
    assert functions.openai() == [{"type": "function", "function": KNOWLEDGE}]
    assert functions.openai(api="responses")[0]["name"] == "retrieve_knowledge"


def test_parameters_that_a_later_gateway_adds_are_left_out():
    from dataclasses import asdict

    assert Parameters.from_json(asdict(BALANCED) | {"new": 1}) == BALANCED
