"""Requests and replies in the words of the two OpenAI APIs. Pure.

Messages of a request are in the form of chat completions (`role`, `content`, `tool_calls`, `tool_call_id`); tools as
`{"type": "function", "function": {...}}` or the function alone. Order is kept as given, so that the beginning of a
conversation stays the same from step to step and a provider may take it from its cache.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NATIVE_ID_CHARS = 40
"""The longest id of a tool call that chat completions take back."""
_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Malformed(ValueError):
    """What came is no reply. The message says what was missing."""


@dataclass(frozen=True)
class Outcome:
    """A reply, the same for both APIs."""

    content: str | None
    refusal: str | None
    calls: tuple[tuple[str, dict[str, Any] | str], ...]
    """(function, arguments): an object, or the text as it came where that is none."""
    finish_reason: str
    """stop, tool_calls, length, content_filter, or the provider's own word."""
    model: str | None
    input_tokens: int | None
    cached_tokens: int
    """Of the input tokens, those from the provider's cache."""
    output_tokens: int | None


def call_id(request_id: str, ordinal: int) -> str:
    """Id of the n-th call of a reply: ours, since a provider's may repeat, and short enough to be sent back.

    >>> len(call_id("conversation/t1/0", 0))
    37
    """
    return "call-" + hashlib.sha256(f"{request_id}/{ordinal}".encode()).hexdigest()[:32]


def _wire_id(given: str) -> str:
    return given if len(given) <= _NATIVE_ID_CHARS else call_id(given, 0)


def cache_key(value: Mapping[str, Any]) -> str:
    """The same for requests whose beginning is the same: model, first system message, tools."""
    first = [message for message in value["messages"][:1] if message.get("role") == "system"]
    text = json.dumps([value["model"], first, value["tools"]], sort_keys=True, ensure_ascii=False)
    return "endocrine-" + hashlib.sha256(text.encode()).hexdigest()[:32]


# ---- chat completions ----


def chat_body(value: Mapping[str, Any], max_tokens_name: str) -> dict[str, Any]:
    """Arguments of `chat.completions.create` for a `model-requests` value."""
    body: dict[str, Any] = {"model": value["model"], "messages": [_chat_message(one) for one in value["messages"]]}
    if value["tools"]:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in value["tools"]]
    for name, given in value["parameters"].items():
        body[max_tokens_name if name == "max_output_tokens" else name] = given
    return body


def _chat_message(message: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(message)
    if told.get("tool_calls"):
        told["tool_calls"] = [
            {"id": _wire_id(one), "type": "function", "function": {"name": name, "arguments": arguments}}
            for one, name, arguments in map(_call, told["tool_calls"])
        ]
    if "tool_call_id" in told:
        told["tool_call_id"] = _wire_id(told["tool_call_id"])
    return told


def chat_outcome(body: Any) -> Outcome:
    """The outcome of a chat completion. Raises Malformed."""
    choice = _first(_at(body, "choices", list), "choices")
    message = _at(choice, "message", dict)
    calls = [one.get("function") or one for one in message.get("tool_calls") or []]
    usage = body.get("usage") or {}
    return Outcome(
        _text_or_none(message.get("content")),
        message.get("refusal") or None,
        tuple(_arguments(call) for call in calls),
        str(choice.get("finish_reason") or "stop"),
        body.get("model"),
        usage.get("prompt_tokens"),
        (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        usage.get("completion_tokens"),
    )


def joined_chunks(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chunks of a stream as the one completion that they are. Raises Malformed when the end is missing."""
    content: dict[str, str] = {}
    calls: dict[int, dict[str, str]] = {}
    finish, model, usage = None, None, None
    for chunk in chunks:
        model, usage = chunk.get("model") or model, chunk.get("usage") or usage
        for choice in chunk.get("choices") or []:
            delta, finish = choice.get("delta") or {}, choice.get("finish_reason") or finish
            for name in ("content", "refusal"):
                if delta.get(name):
                    content[name] = content.get(name, "") + delta[name]
            for part in delta.get("tool_calls") or []:
                call = calls.setdefault(part.get("index", len(calls)), {"name": "", "arguments": ""})
                function = part.get("function") or {}
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
    if finish is None:
        raise Malformed("the stream ended before its last chunk")
    message = {**content, "tool_calls": [{"function": calls[index]} for index in sorted(calls)]}
    return {"model": model, "usage": usage, "choices": [{"message": message, "finish_reason": finish}]}


# ---- Responses ----


def responses_body(value: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `responses.create` for a `model-requests` value. Nothing is stored at the provider."""
    body: dict[str, Any] = {"model": value["model"], "store": False}
    body["input"] = [item for message in value["messages"] for item in _items(message)]
    if value["tools"]:
        # strict: false, as chat completions have it: the gate checks arguments itself.
        body["tools"] = [{"type": "function", "strict": False, **_function(tool)} for tool in value["tools"]]
    for name, given in value["parameters"].items():
        if name == "reasoning_effort":
            body["reasoning"] = {"effort": given}
        else:
            body[name] = given
    return body


def _items(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        output = message["content"] if isinstance(message["content"], str) else json.dumps(message["content"])
        return [{"type": "function_call_output", "call_id": _wire_id(message["tool_call_id"]), "output": output}]
    items: list[dict[str, Any]] = []
    if message.get("content"):
        items.append({"role": message["role"], "content": message["content"]})
    for one, name, arguments in map(_call, message.get("tool_calls") or []):
        items.append({"type": "function_call", "call_id": _wire_id(one), "name": name, "arguments": arguments})
    return items


def responses_outcome(body: Any) -> Outcome:
    """The outcome of a response object. Raises Malformed."""
    text: list[str] = []
    refusal: list[str] = []
    calls = []
    for item in _at(body, "output", list):
        if item.get("type") == "function_call":
            calls.append(_arguments(item))
        for part in item.get("content") or [] if item.get("type") == "message" else []:
            if part.get("type") == "refusal":
                refusal.append(part.get("refusal") or "")
            elif part.get("type") == "output_text":
                text.append(part.get("text") or "")
    if body.get("status") == "failed":
        raise Malformed(f"the provider failed: {(body.get('error') or {}).get('message', 'without a reason')}")
    cut = (body.get("incomplete_details") or {}).get("reason") if body.get("status") == "incomplete" else None
    usage = body.get("usage") or {}
    return Outcome(
        "".join(text) or None,
        "".join(refusal) or None,
        tuple(calls),
        _CUT.get(cut, cut) if cut else "tool_calls" if calls else "stop",
        body.get("model"),
        usage.get("input_tokens"),
        (usage.get("input_tokens_details") or {}).get("cached_tokens") or 0,
        usage.get("output_tokens"),
    )


def last_response(events: Sequence[Mapping[str, Any]]) -> Any:
    """The response object that a stream of events ends with. Raises Malformed when the end is missing."""
    for event in reversed(events):
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return event.get("response")
    raise Malformed("the stream ended before its last event")


# ---- moderation ----


def moderation_body(value: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Arguments of `moderations.create` for a `model-requests` value of purpose `moderation`."""
    return {"model": model, "input": "\n".join(str(message["content"]) for message in value["messages"])}


def moderation_outcome(body: Any) -> Outcome:
    """The verdict as the content of a reply: `{"flagged": bool, "scores": {category: 0..1}}`. Raises Malformed."""
    result = _first(_at(body, "results", list), "results")
    scores = {name: score for name, score in _at(result, "category_scores", dict).items() if score is not None}
    content = json.dumps({"flagged": bool(result.get("flagged")), "scores": scores})
    return Outcome(content, None, (), "stop", body.get("model"), None, 0, None)


# ---- both ----


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function", tool)
    return {name: function[name] for name in ("name", "description", "parameters") if name in function}


def _call(call: Mapping[str, Any]) -> tuple[str, str, str]:
    """(id, function, arguments as text) of a call in a message, in the API's form or in that of `model-replies`."""
    function = call.get("function", call)
    arguments = function.get("arguments", "")
    name = function.get("name") or function.get("tool")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return str(call.get("id") or call.get("call_id")), str(name), text


def _arguments(call: Mapping[str, Any]) -> tuple[str, dict[str, Any] | str]:
    text = call.get("arguments")
    text = text if isinstance(text, str) else json.dumps(text)
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return str(call.get("name") or ""), parsed if isinstance(parsed, dict) and _finite(text) else text


def _finite(text: str) -> bool:
    """JSON of ours has no NaN: Python's parser takes it, a topic's reader may not."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def _text_or_none(content: Any) -> str | None:
    return content if isinstance(content, str) and content else None


def _at(body: Any, name: str, kind: type) -> Any:
    if not isinstance(body, dict) or not isinstance(body.get(name), kind):
        raise Malformed(f"the reply has no `{name}`")
    return body[name]


def _first(given: list[Any], name: str) -> dict[str, Any]:
    if not given or not isinstance(given[0], dict):
        raise Malformed(f"`{name}` of the reply is empty")
    found: dict[str, Any] = given[0]
    return found
