"""What clients of today send by themselves: members of the official types, and copies of answers, ours and others'."""

import typing

import httpx2
import openai
import orjson
import pytest
from openai.types import shared_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as responses_params

from endocrine.pipeline.gateway.openai import chat_request, functions, parts, responses_request
from endocrine.pipeline.gateway.openai.chat_request import ChatRequest, parse_chat
from endocrine.pipeline.gateway.openai.conversation import arguments_digest, same_arguments
from endocrine.pipeline.gateway.openai.parsed import StreamOptions
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.responses_request import ResponsesRequest, parse_responses

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "seen"}


def chat(*messages, **other):
    return parse_chat(orjson.dumps({"model": "small", "messages": [*messages], **other}))


def respond(items="Hello", **other):
    return parse_responses(orjson.dumps({"model": "small", "input": items, **other}))


def refused(call, *args, **other):
    with pytest.raises(Refused) as caught:
        call(*args, **other)
    return caught.value.code, caught.value.param


def named(model):
    """The names under which a model reads its members."""
    return {field.alias or name for name, field in model.model_fields.items()}


def typed(root):
    """Every typed dictionary that may lie in one, by name: [its members]."""
    found, waiting, seen = {}, [root], set()
    while waiting:
        one = waiting.pop()
        if hasattr(one, "__required_keys__"):
            if one in seen:
                continue
            seen.add(one)
            members = typing.get_type_hints(one)
            found.setdefault(one.__name__, []).append(set(members))
            waiting += members.values()
        else:
            waiting += [part for part in typing.get_args(one) if not isinstance(part, str | int | float | None)]
    return found


CHAT = {
    "CompletionCreateParamsStreaming": named(ChatRequest) | set(chat_request.NEUTRAL),
    "ChatCompletionSystemMessageParam": named(chat_request._InputMessage),
    "ChatCompletionDeveloperMessageParam": named(chat_request._InputMessage),
    "ChatCompletionUserMessageParam": named(chat_request._InputMessage),
    "ChatCompletionAssistantMessageParam": named(chat_request._Assistant),
    "ChatCompletionToolMessageParam": named(chat_request._Tool),
    "ChatCompletionMessageFunctionToolCallParam": named(chat_request._ToolCall),
    "ChatCompletionFunctionToolParam": named(chat_request._DeclaredFunction),
    "FunctionDefinition": named(functions.Function),
    "ChatCompletionContentPartTextParam": named(parts.TextPart),
    "ChatCompletionContentPartRefusalParam": named(parts.RefusalPart),
    "ChatCompletionContentPartImageParam": named(parts.ImagePart),
    "ChatCompletionNamedToolChoiceParam": named(chat_request._Choice),
    "ChatCompletionStreamOptionsParam": named(StreamOptions),
    "ResponseFormatJSONSchema": named(chat_request._ResponseFormat),
}
RESPONSES = {
    "ResponseCreateParamsStreaming": named(ResponsesRequest) | set(responses_request.NEUTRAL),
    "EasyInputMessageParam": named(responses_request._MessageItem),
    "ResponseOutputMessageParam": named(responses_request._MessageItem),
    "ResponseFunctionToolCallParam": named(responses_request._CallItem),
    "FunctionCallOutput": named(responses_request._OutputItem),
    "ResponseReasoningItemParam": named(responses_request._ReasoningItem),
    "FunctionToolParam": named(responses_request._DeclaredFunction),
    "ToolChoiceFunctionParam": named(responses_request._Choice),
    "ResponseTextConfigParam": named(responses_request._Text),
    "ResponseFormatTextJSONSchemaConfigParam": named(responses_request._Format),
    "ResponseInputTextParam": named(parts.TextPart),
    "ResponseInputImageParam": named(parts.InputImagePart),
    "ResponseOutputTextParam": named(parts.TextPart),
    "StreamOptions": named(StreamOptions),
}


@pytest.mark.parametrize(
    ("root", "known"),
    [
        (chat_params.CompletionCreateParamsStreaming, CHAT),
        (responses_params.ResponseCreateParamsStreaming, RESPONSES),
    ],
    ids=["chat", "responses"],
)
def test_every_member_that_the_official_client_has_a_type_for_is_known_by_its_name(root, known):
    found = typed(root)
    for name in found.keys() & known.keys():
        for members in found[name]:
            assert members - known[name] == set(), name
    assert len(found.keys() & known.keys()) >= len(known) - 2, "the client has other names for its types"


def test_every_member_of_the_reasoning_of_the_official_client_is_known():
    assert set(typing.get_type_hints(shared_params.Reasoning)) <= named(responses_request._Reasoning)


def test_kinds_of_parts_of_the_official_client_are_read_or_named_as_not_supported():
    for part in ("file", "input_audio", "video_url"):
        message = {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": part, part: {"data": "x"}}]}
        assert refused(chat, message) == ("unsupported_parameter", "messages[0].content[1].type")
    for part in ("input_file", "input_audio", "image"):
        message = {"role": "user", "content": [{"type": part, "file_id": "x"}]}
        assert refused(respond, [message]) == ("unsupported_parameter", "input[0].content[0].type")


# ---- copies ----


def answer(request):
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "look",
        "arguments": "{}",
        "status": "completed",
    }
    text = {"type": "output_text", "text": "x", "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}
    body = {"id": "resp_1", "object": "response", "created_at": 1, "model": "small", "status": "completed", "tools": []}
    return httpx2.Response(
        200, json={**body, "output": [thoughts, message, call], "parallel_tool_calls": True, "tool_choice": "auto"}
    )


@pytest.mark.parametrize(
    "copied",
    [
        lambda item: item,
        lambda item: item.model_dump(),
        lambda item: item.model_dump(by_alias=True),
        lambda item: item.model_dump(exclude_none=True),
        lambda item: item.to_dict(),
    ],
    ids=["as it is", "dumped", "dumped by alias", "dumped without null", "to_dict"],
)
def test_items_of_a_response_are_taken_back_however_the_client_writes_them(copied):
    sent = []

    def server(request):
        sent.append(request.content)
        return answer(request)

    http = httpx2.Client(transport=httpx2.MockTransport(server))
    client = openai.OpenAI(api_key="k", base_url="http://door/v1", http_client=http)
    found = client.responses.create(model="small", input="Hello")
    result = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
    client.responses.create(model="small", input=[USER, *map(copied, found.output), result])
    read = parse_responses(sent[-1]).conversation
    assert [message.role for message in read.messages] == ["user", "assistant", "tool"]
    assert [one.call_id for one in read.answered()] == ["c1"]


@pytest.mark.parametrize(
    "member",
    [
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]},
        {"provider_specific_fields": {"refusal": None}},
        {"prefix": False},
        {"function_call": None, "audio": None, "annotations": [], "refusal": None},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": "x"},
            ]
        },
        {"content": None, "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": "s"}}}]},
        {"content": None, "tool_calls": [{**CALL, "provider_specific_fields": None, "index": 0}]},
    ],
)
def test_what_other_servers_add_to_an_answer_is_taken_back_and_left_out(member):
    message = {"role": "assistant", "content": "x", **member}
    after = (RESULT,) if "tool_calls" in member else (USER,)
    read = chat(USER, message, *after).conversation
    assert "Hm." not in str(read.recorded())
    assert read.messages[1].content == (None if "tool_calls" in member else "x")


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}, "messages[0].content[0].type"),
        ({"role": "assistant", "content": None, "function_call": {"name": "a"}}, "messages[0].function_call"),
        ({"role": "assistant", "content": None, "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "assistant", "content": "x", "prefix": True}, "messages[0].prefix"),
    ],
)
def test_what_would_be_lost_is_refused_by_its_place(message, place):
    assert refused(chat, message, USER) == ("unsupported_parameter", place)


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}", "{ }"])
def test_arguments_that_are_nothing_are_an_empty_object_however_they_are_written(arguments):
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    read = chat(USER, {"role": "assistant", "content": None, "tool_calls": [call]}, RESULT).conversation
    assert read.recorded()[1]["tool_calls"] == [{"id": "c1", "name": "look", "arguments": {}}]
    assert same_arguments(read.answered()[0].arguments, {})
    assert arguments_digest(arguments) == arguments_digest({})


# ---- members that ask for nothing ----


@pytest.mark.parametrize(
    "members",
    [
        {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]},
        {"include": ["file_search_call.results", "message.input_image.image_url"]},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
        {"reasoning": {"effort": "low", "summary": "auto", "mode": "standard", "context": "auto"}},
        {
            "tools": [
                {
                    "type": "function",
                    "name": "look",
                    "async": False,
                    "allowed_callers": ["direct"],
                    "output_schema": None,
                }
            ]
        },
    ],
)
def test_what_asks_for_nothing_is_taken(members):
    assert respond(**members).conversation.prompt() == "Hello"


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, "include"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{"type": "function", "name": "look", "async": True}]}, "tools[0].async"),
        ({"tools": [{"type": "function", "name": "look", "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.type"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"items": [USER, {"id": "msg_1"}]}, "input[1].type"),
    ],
)
def test_what_asks_for_more_is_named_as_not_supported(members, place):
    assert refused(respond, **members) == ("unsupported_parameter", place)


def test_a_choice_of_several_tools_is_named_as_not_supported_in_chat_too():
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    assert refused(chat, USER, tool_choice=choice) == ("unsupported_parameter", "tool_choice.type")


def test_a_list_that_is_too_long_is_not_called_the_wrong_kind():
    with pytest.raises(Refused, match="at most 4"):
        chat(USER, stop=list("abcde"))
    with pytest.raises(Refused, match="at least 1"):
        respond([])
