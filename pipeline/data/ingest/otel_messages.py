"""The messages of a `gen_ai.*` span: what went to the model and what came back, in every form that was specified.

Newest first: attributes (or the event `gen_ai.client.inference.operation.details`) `gen_ai.input.messages` and
`gen_ai.output.messages`; events `gen_ai.user.message`, `gen_ai.choice` and their like; events `gen_ai.content.prompt`
and `gen_ai.content.completion`; attributes `gen_ai.prompt.0.content` and `gen_ai.completion.0.content`.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.pipeline.data.ingest.otel_spans import Event, Span
from endocrine.pipeline.data.ingest.values import object_or_empty, text_or_none

TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
THOUGHT_PARTS = frozenset({"reasoning", "thinking"})
_INDEXED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(role|content|tool_calls.*|finish_reason)")
_ROLE_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")


@dataclass(slots=True)
class Message:
    """One message: its role, its text, and the parts that are no text."""

    role: str
    text: str
    other_parts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Exchange:
    """What a span shows of one call of the model."""

    input: list[Message] = field(default_factory=list)
    output: list[Message] = field(default_factory=list)
    problem: str | None = None
    """What could not be read; None where everything could."""


def exchange_of(span: Span) -> Exchange:
    """Read the messages of a span, by the newest form that it has."""
    found = Exchange()
    holders = [span.attributes, *(event.attributes for event in span.events)]
    holders += [body for event in span.events if (body := object_or_empty(event.body))]
    for holder in holders:
        for key, into, role in (("input", found.input, "user"), ("output", found.output, "assistant")):
            value = holder.get(f"gen_ai.{key}.messages")
            if value is not None and not into:
                messages = _messages(value, role)
                if messages is None:
                    found.problem = f"`gen_ai.{key}.messages` is no list of messages with `role` and `parts`"
                else:
                    into += messages
    if not found.input and not found.output and found.problem is None:
        _by_events(span.events, found)
    if not found.input and not found.output and found.problem is None:
        _by_index(span.attributes, found)
    return found


def _decoded(value: Any) -> Any:
    """A structured value; spans may carry it as JSON in a string."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"'):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _messages(value: Any, role: str) -> list[Message] | None:
    value = _decoded(value)
    if isinstance(value, str):
        return [Message(role, value)] if value.strip() and value.lstrip()[:1] not in ("[", "{") else None
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if not isinstance(value, list):
        return None
    found: list[Message] = []
    for item in map(_decoded, value):
        if isinstance(item, str):
            found.append(Message(role, item))
        elif isinstance(item, dict) and (message := _message(item, role)) is not None:
            found.append(message)
        else:
            return None
    return found


def _message(raw: dict[str, Any], role: str) -> Message | None:
    inner = _decoded(raw.get("message"))
    if isinstance(inner, dict):  # a choice
        raw = raw | inner
    elif isinstance(inner, str):
        raw = raw | {"content": inner}
    named = raw.get("role")
    message = Message(named if isinstance(named, str) else role, "")
    message.role = {"human": "user", "ai": "assistant", "model": "assistant"}.get(message.role, message.role)
    parts = raw.get("parts", raw.get("content"))
    parts = _decoded(parts) if isinstance(parts, str) and parts.lstrip()[:2] in ("[{", "[ {") else parts
    if parts is None:
        if raw.keys() & {"tool_calls", "finish_reason", "refusal", "id"}:
            message.other_parts.append("tool call" if raw.get("tool_calls") else "message without content")
            return message
        return None
    texts: list[str] = []
    for part in parts if isinstance(parts, list) else [parts]:
        text, kind = _part(part)
        if text is not None:
            texts.append(text)
        elif kind:
            message.other_parts.append(kind)
    message.text = "\n\n".join(text for text in texts if text.strip())
    return message


def _part(part: Any) -> tuple[str | None, str]:
    """Return the text of a part, or the name that it is counted under."""
    if isinstance(part, str):
        return part, ""
    part = object_or_empty(part)
    kind = text_or_none(part.get("type"))
    text = part.get("content", part.get("text"))
    if isinstance(text, str) and (kind in TEXT_PARTS or kind is None):
        return text, ""
    if kind in THOUGHT_PARTS:
        return None, "thinking"
    if kind in ("tool_call", "tool_use", "function_call"):
        return None, "tool call"
    if kind in ("tool_call_response", "tool_result"):
        return None, "tool result"
    modality = text_or_none(part.get("modality"))
    return None, modality if modality in ("image", "audio", "video") else "other part"


def _by_events(events: list[Event], found: Exchange) -> None:
    for event in events:
        content = object_or_empty(_decoded(event.body)) or event.attributes
        role = _ROLE_EVENT.fullmatch(event.name)
        if role is not None:
            message = _message({"role": role[1], **content}, role[1])
            if message is not None:
                found.input.append(message)
            elif content:
                found.problem = f"event `{event.name}` has no `content`"
        elif event.name == "gen_ai.choice":
            message = _message(content, "assistant")
            if message is not None:
                found.output.append(message)
            elif "message" in content:
                found.problem = "event `gen_ai.choice` has no `message` that can be read"
        elif event.name in ("gen_ai.content.prompt", "gen_ai.content.completion"):
            is_prompt = event.name.endswith("prompt")
            value = content.get("gen_ai.prompt" if is_prompt else "gen_ai.completion", content.get("content"))
            messages = None if value is None else _messages(value, "user" if is_prompt else "assistant")
            if messages is not None:
                (found.input if is_prompt else found.output).extend(messages)
            elif value is not None:
                found.problem = f"event `{event.name}` holds no message that can be read"


def _by_index(attributes: dict[str, Any], found: Exchange) -> None:
    parts: dict[tuple[str, int], dict[str, Any]] = {}
    for key, value in attributes.items():
        if match := _INDEXED.fullmatch(key):
            name = "tool_calls" if match[3].startswith("tool_calls") else match[3]
            parts.setdefault((match[1], int(match[2])), {})[name] = value
    for (kind, _), raw in sorted(parts.items()):
        message = _message(raw, "user" if kind == "prompt" else "assistant")
        if message is not None:
            (found.input if kind == "prompt" else found.output).append(message)
    for key, into, role in (("prompt", found.input, "user"), ("completion", found.output, "assistant")):
        value = attributes.get(f"gen_ai.{key}")
        if not into and value is not None:
            into += _messages(value, role) or []
