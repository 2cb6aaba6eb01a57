"""Requests and replies in the shapes of the two APIs. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from endocrine.pipeline.local.fake_llm.script import Conversation, Script, Step, filled

CHARS_PER_TOKEN = 4
"""A rough count: the figures are made up, like the answers."""


@dataclass(frozen=True)
class Answer:
    """One reply, the same for both APIs."""

    number: int
    """Of the request, from 1: ids are made of it."""
    model: str
    text: str | None
    refusal: str | None
    calls: tuple[tuple[str, str], ...]
    """(function, arguments as text)."""
    finish: str | None
    """None: by itself."""
    input_tokens: int
    output_tokens: int
    step: Step
    """What it was made of: how a stream is cut."""


def of_chat(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a chat completions request."""
    messages = [message for message in body.get("messages", []) if isinstance(message, dict)]
    offered = [tool.get("function", {}).get("name", "") for tool in body.get("tools") or []]
    return _conversation(messages, offered)


def of_responses(body: Mapping[str, Any]) -> Conversation:
    """Return the conversation of a Responses request."""
    given = body.get("input", [])
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    for item in items:
        if item.get("type") == "function_call":
            if not (messages and messages[-1].get("calls")):
                messages.append({"role": "assistant", "calls": True})
        elif item.get("type") == "function_call_output":
            messages.append({"role": "tool", "content": item.get("output")})
        else:
            messages.append(item)
    return _conversation(messages, [tool.get("name", "") for tool in body.get("tools") or []])


def _conversation(messages: list[dict[str, Any]], offered: list[str]) -> Conversation:
    system = next((_text(one) for one in messages if one.get("role") in ("system", "developer")), "")
    last = max((place for place, one in enumerate(messages) if one.get("role") == "user"), default=-1)
    since = messages[last + 1 :]
    replied = sum(1 for one in since if one.get("tool_calls") or one.get("calls"))
    results = [_text(one) for one in since if one.get("role") == "tool"]
    return Conversation(system, _text(messages[last]) if last >= 0 else "", replied, results, offered)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else json.dumps(content)


def _without_images(value: Any) -> Any:
    """The value without what image parts hold: a model counts an image by its size, not by its characters."""
    if isinstance(value, dict):
        return {name: _without_images(part) for name, part in value.items() if name != "image_url"}
    return [_without_images(part) for part in value] if isinstance(value, list) else value


def answer(script: Script, step: Step, asked: Conversation, body: Mapping[str, Any], number: int) -> Answer:
    """Return the step as a reply, labelled, cut at the request's token limit."""
    label = f"[{script.label}] "
    text = None if step.text is None else label + " ".join([filled(step.text, asked)] * step.times)
    if step.json_ is not None:
        text = json.dumps(step.json_ | {"scripted": True})
    finish = step.finish
    limit = next(
        (body[name] for name in ("max_output_tokens", "max_completion_tokens", "max_tokens") if body.get(name)), None
    )
    if text is not None and limit is not None and len(text) > limit * CHARS_PER_TOKEN:
        text, finish = text[: limit * CHARS_PER_TOKEN], "length"
    output = (text or "") + "".join(str(call.arguments) for call in step.calls)
    return Answer(
        number,
        str(body.get("model") or "scripted"),
        text,
        None if step.refuse is None else label + step.refuse,
        tuple(
            (call.tool, call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments))
            for call in step.calls
        ),
        finish,
        len(json.dumps(_without_images(body.get("messages") or body.get("input") or ""))) // CHARS_PER_TOKEN + 1,
        len(output) // CHARS_PER_TOKEN + 1,
        step,
    )


# ---- chat completions ----


def chat(one: Answer) -> dict[str, Any]:
    """Return a whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": one.text, "refusal": one.refusal}
    if one.calls:
        message["tool_calls"] = _chat_calls(one)
    return _chat_frame(one, "chat.completion") | {
        "choices": [{"index": 0, "message": message, "finish_reason": _chat_finish(one), "logprobs": None}],
        "usage": _chat_usage(one),
    }


def chat_chunks(one: Answer) -> Iterator[dict[str, Any]]:
    """Yield the same as the chunks of a stream; arguments come in pieces."""
    frame = _chat_frame(one, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(one.text or "", one):
        yield chunk({"content": piece})
    for piece in _pieces(one.refusal or "", one):
        yield chunk({"refusal": piece})
    calls = [list(_call_pieces(one, index, call)) for index, call in enumerate(_chat_calls(one))]
    turns = zip_longest(*calls) if one.step.interleaved else calls
    for part in chain.from_iterable(turns):
        if part is not None:
            yield chunk({"tool_calls": [part]})
    yield chunk({}, _chat_finish(one))
    yield frame | {"choices": [], "usage": _chat_usage(one)}


def _call_pieces(one: Answer, index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call["function"]
    first, *rest = _pieces(function["name"], one) if one.step.split_names else [function["name"]]
    yield {**call, "index": index, "function": {"name": first, "arguments": ""}}
    for piece in rest:
        yield {"index": index, "function": {"name": piece}}
    for piece in _pieces(function["arguments"], one):
        yield {"index": index, "function": {"arguments": piece}}


def _chat_frame(one: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-scripted-{one.number}", "object": kind, "created": 0, "model": one.model}


def _chat_calls(one: Answer) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(one.calls)
    ]


def _chat_finish(one: Answer) -> str:
    return one.finish or ("tool_calls" if one.calls else "stop")


def _chat_usage(one: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": one.input_tokens,
        "completion_tokens": one.output_tokens,
        "total_tokens": one.input_tokens + one.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


# ---- responses ----


def response(one: Answer, *, status: str | None = None) -> dict[str, Any]:
    """Return a whole response object."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(one.finish or "")
    return {
        "id": f"resp_scripted_{one.number}",
        "object": "response",
        "created_at": 0,
        "status": status or ("incomplete" if cut else "completed"),
        "error": None,
        "incomplete_details": {"reason": cut} if cut and status is None else None,
        "instructions": None,
        "metadata": {},
        "model": one.model,
        "output": _output(one) if status is None else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _usage(one) if status is None else None,
    }


def response_events(one: Answer) -> Iterator[dict[str, Any]]:
    """Yield the same as the events of a stream."""
    events: list[dict[str, Any]] = [{"type": "response.created", "response": response(one, status="in_progress")}]
    for index, item in enumerate(_output(one)):
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        if item["type"] == "message" and one.text is not None:
            place = {"item_id": item["id"], "output_index": index, "content_index": 0, "logprobs": []}
            events += [
                {"type": "response.output_text.delta", **place, "delta": piece} for piece in _pieces(one.text, one)
            ]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    whole = response(one)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    for sequence, event in enumerate(events):
        yield event | {"sequence_number": sequence}


def _output(one: Answer) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if one.text is not None:
        content.append({"type": "output_text", "text": one.text, "annotations": []})
    if one.refusal is not None:
        content.append({"type": "refusal", "refusal": one.refusal})
    items: list[dict[str, Any]] = []
    if content:
        message_id = f"msg_scripted_{one.number}"
        items.append(
            {"type": "message", "id": message_id, "role": "assistant", "status": "completed", "content": content}
        )
    for index, (name, arguments) in enumerate(one.calls):
        ids = {"id": f"fc_{index}", "call_id": f"call_{index}"}
        items.append({"type": "function_call", **ids, "name": name, "arguments": arguments, "status": "completed"})
    return items


def _usage(one: Answer) -> dict[str, Any]:
    return {
        "input_tokens": one.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": one.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": one.input_tokens + one.output_tokens,
    }


def _pieces(text: str, one: Answer) -> Iterator[str]:
    chars = one.step.piece_chars
    for start in range(0, len(text), chars):
        yield text[start : start + chars]
