"""Requests in the form of the two OpenAI APIs, and for moderation. Pure. Replies: `reading`, `moderation`.

Messages of a request are in the form of chat completions (`role`, `content`, `tool_calls`, `tool_call_id`); tools as
`{"type": "function", "function": {...}}` or the function alone. Order is kept as given, so that the beginning of a
conversation stays the same from step to step and a provider may take it from its cache. What is sent is what every
server takes: one system message, first; ids of calls in the form of the pickiest (`call_ids`).
"""

import hashlib
import json
import string
from collections.abc import Mapping, Sequence
from typing import Any

from endocrine.agents.conversation.images import IMAGE, images_in

Urls = Mapping[str, str]
NO_IMAGES: Urls = {}
_LONGEST_ID = 40
"""The longest id of a tool call that the Responses API takes back, in characters."""
_CHAT_ID = 9
"""Characters of an id in chat completions: Mistral's models, wherever they run, take exactly nine letters and digits;
every other server takes those too."""
_ALPHABET = string.digits + string.ascii_letters
_STOPS = 4
"""Stop sequences that chat completions take at most."""
_SYSTEM = ("system", "developer")


def call_id(request_id: str, ordinal: int) -> str:
    """Return the id of the n-th call of a reply: ours, since a provider's may repeat, and short enough to be sent back.

    >>> len(call_id("conversation/t1/0", 0))
    37
    """
    return "call-" + hashlib.sha256(f"{request_id}/{ordinal}".encode()).hexdigest()[:32]


def call_ids(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the ids of the calls in messages, each with the one it goes out under in chat completions: nine letters
    and digits.

    Derived from the id alone, so that it is the same from step to step; two of one conversation never share one.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for given in _ids(messages):
        turn = 0
        while given not in found:
            short = _short(f"{given}/{turn}" if turn else given)
            if short not in taken:
                found[given] = short
                taken.add(short)
            turn += 1
    return found


def _ids(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every id of a call in messages, in order."""
    found: list[str] = []
    for message in messages:
        found += [_call(call)[0] for call in message.get("tool_calls") or []]
        if "tool_call_id" in message:
            found.append(str(message["tool_call_id"]))
    return found


def _short(text: str) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])
    letters = []
    for _ in range(_CHAT_ID):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def _bounded_id(given: str) -> str:
    return given if len(given) <= _LONGEST_ID else call_id(given, 0)


def one_system_message(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the messages with those of the system as one, first: many servers refuse a second or a late one."""
    systems = [message for message in messages if message.get("role") in _SYSTEM]
    if len(systems) < 2 and systems == list(messages[:1]):
        return list(messages)
    others = [message for message in messages if message.get("role") not in _SYSTEM]
    text = "\n\n".join(text for message in systems if (text := _text(message.get("content"))))
    return [{"role": "system", "content": text}, *others] if text else others


def _text(content: Any) -> str:
    """The text of a message's content: itself, or that of its blocks."""
    if isinstance(content, list):
        return "\n".join(str(block.get("text") or "") for block in content if isinstance(block, Mapping))
    return content if isinstance(content, str) else ""


def cache_key(value: Mapping[str, Any]) -> str:
    """Return a key that is the same for requests whose beginning is: model, first system message, tools."""
    first = [message for message in value["messages"][:1] if message.get("role") == "system"]
    text = json.dumps([value["model"], first, value["tools"]], sort_keys=True, ensure_ascii=False)
    return "endocrine-" + hashlib.sha256(text.encode()).hexdigest()[:32]


# ---- chat completions ----


def chat_body(value: Mapping[str, Any], max_tokens_name: str, images: Urls = NO_IMAGES) -> dict[str, Any]:
    """Return the body of `POST /chat/completions` for a `model-requests` value. images: URLs by digest."""
    ids = call_ids(value["messages"])
    messages = [_chat_message(one, ids, images) for one in one_system_message(value["messages"])]
    body: dict[str, Any] = {"model": value["model"], "messages": messages}
    if value["tools"]:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in value["tools"]]
    for name, given in value["parameters"].items():
        if name == "stop":
            given = _stops(given)
        elif name == "response_format":
            given = _chat_format(given)
        elif name == "tool_choice":
            given = _chat_choice(given)
        if given is not None:
            body[max_tokens_name if name == "max_output_tokens" else name] = given
    return body


def _stops(given: Any) -> list[str] | None:
    """Stop sequences as the API takes them: one to four texts that are not blank; None: there are none."""
    given = [given] if isinstance(given, str) else given
    texts = [one for one in given if isinstance(one, str) and one.strip()] if isinstance(given, list | tuple) else []
    return texts[:_STOPS] or None


def _chat_message(message: Mapping[str, Any], ids: Mapping[str, str], images: Urls) -> dict[str, Any]:
    rewritten = dict(message)
    if images_in([message]):
        rewritten["content"] = [_chat_block(block, images) for block in message["content"]]
    if rewritten.get("tool_calls"):
        rewritten["tool_calls"] = [
            {"id": ids[one], "type": "function", "function": {"name": name, "arguments": arguments}}
            for one, name, arguments in map(_call, rewritten["tool_calls"])
        ]
    if "tool_call_id" in rewritten:
        rewritten["tool_call_id"] = ids[str(rewritten["tool_call_id"])]
    return rewritten


def _chat_block(block: Mapping[str, Any], images: Urls) -> dict[str, Any]:
    if block["type"] != IMAGE:
        return dict(block)
    detail = {"detail": block["detail"]} if "detail" in block else {}
    return {"type": "image_url", "image_url": {"url": images.get(block["digest"], ""), **detail}}


# ---- Responses ----


def responses_body(value: Mapping[str, Any], images: Urls = NO_IMAGES) -> dict[str, Any]:
    """Return the body of `POST /responses` for a `model-requests` value. Nothing is stored at the provider.
    images: URLs by digest.

    The API has no stop sequences and no seed: a request that was fitted to chat completions and is asked here goes
    without.
    """
    body: dict[str, Any] = {"model": value["model"], "store": False}
    body["input"] = [item for message in one_system_message(value["messages"]) for item in _items(message, images)]
    if value["tools"]:
        # strict: false, as chat completions have it: the gate checks arguments itself.
        body["tools"] = [{"type": "function", "strict": False, **_function(tool)} for tool in value["tools"]]
    for name, given in value["parameters"].items():
        if name == "reasoning_effort":
            body["reasoning"] = {"effort": given}
        elif name == "response_format":
            body["text"] = {"format": _responses_format(given)}
        elif name == "tool_choice":
            body[name] = _responses_choice(given)
        elif name not in ("stop", "seed"):
            body[name] = given
    return body


def _items(message: Mapping[str, Any], images: Urls) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        output = message["content"] if isinstance(message["content"], str) else json.dumps(message["content"])
        return [{"type": "function_call_output", "call_id": _bounded_id(message["tool_call_id"]), "output": output}]
    items: list[dict[str, Any]] = []
    if (content := message.get("content")) and images_in([message]):
        items.append({"role": message["role"], "content": [_input_block(block, images) for block in content]})
    elif content:
        items.append({"role": message["role"], "content": content})
    for one, name, arguments in map(_call, message.get("tool_calls") or []):
        items.append({"type": "function_call", "call_id": _bounded_id(one), "name": name, "arguments": arguments})
    return items


def _input_block(block: Mapping[str, Any], images: Urls) -> dict[str, Any]:
    if block["type"] != IMAGE:
        return {"type": "input_text", "text": block["text"]}
    url = images.get(block["digest"], "")
    return {"type": "input_image", "image_url": url, "detail": block.get("detail", "auto")}


# ---- the form of the answer and the choice of tools: the same content, nested by one API and flat in the other ----

_NESTED = ("name", "description", "schema", "strict")


def _chat_format(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "json_schema" or "json_schema" in given:
        return given
    return {"type": "json_schema", "json_schema": {name: given[name] for name in _NESTED if name in given}}


def _responses_format(given: Any) -> Any:
    if not isinstance(given, Mapping) or not isinstance(inner := given.get("json_schema"), Mapping):
        return given
    return {"type": "json_schema", **{name: inner[name] for name in _NESTED if name in inner}}


def _chat_choice(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "function" or "function" in given:
        return given
    return {"type": "function", "function": {"name": given.get("name")}}


def _responses_choice(given: Any) -> Any:
    if not isinstance(given, Mapping) or not isinstance(inner := given.get("function"), Mapping):
        return given
    return {"type": "function", "name": inner.get("name")}


# ---- moderation ----


def moderation_body(value: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the body of `POST /moderations` for a `model-requests` value of purpose `moderation`."""
    return {"model": model, "input": "\n".join(str(message["content"]) for message in value["messages"])}


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
