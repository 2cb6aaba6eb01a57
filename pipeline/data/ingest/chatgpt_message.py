"""One message of a ChatGPT export: its author, the text of its parts, and what of it is no text of the chat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from endocrine.pipeline.data.ingest.chatgpt_marks import as_seen
from endocrine.pipeline.data.ingest.model import Noted, Refused, Skipped
from endocrine.pipeline.data.ingest.values import kind_of, object_or_empty, parse_time, text_or_none

CONTEXT = frozenset({"user_editable_context", "model_editable_context"})
"""Content types that carry a profile or memories, in the user's or the assistant's name."""
THOUGHTS = frozenset({"thoughts", "reasoning_recap"})
NO_ANSWER = frozenset(
    {"system_error", "execution_output", "tether_quote", "tether_browsing_display", "tether_browsing_code"}
)
"""Content types of what a tool gave, in whoever's name it is."""
CANVAS = ("canmore.create_textdoc",)
"""Recipient of a message that writes a document on the canvas."""
NON_TEXT_PARTS = {
    "image_asset_pointer": "image",
    "audio_asset_pointer": "audio",
    "real_time_user_audio_video_asset_pointer": "audio",
    "video_container_asset_pointer": "video",
}
"""Parts without text, by the name they are counted under; others are `other part`."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the chat."""

    by_user: bool
    text: str
    ts: float | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the assistant wrote on the canvas."""

    text: str
    ts: float | None


def read_message(where: str, message: Any) -> Iterator[Message | Document | Noted | Skipped | Refused]:
    """Yield what there is to say of a message; of `Message` and `Document` at most one."""
    content = message.get("content") if isinstance(message, dict) else None
    role = object_or_empty(message.get("author")).get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or not isinstance(content, dict):
        yield Refused(where, _misshapen(message, role))
        return
    metadata = object_or_empty(message.get("metadata"))
    content_type = text_or_none(content.get("content_type"))
    report = _report(role, message, content, metadata)
    if report is not None:
        yield Message(False, as_seen(report), parse_time(message.get("create_time")), None)
    elif role not in ("user", "assistant"):
        yield Noted(role if role in ("system", "tool") else "other role")
    elif metadata.get("is_visually_hidden_from_conversation") is True or content_type in CONTEXT:
        yield Skipped("meta") if role == "user" else Noted("hidden")
    elif metadata.get("is_user_system_message") is True:
        yield Skipped("meta")
    elif content_type in THOUGHTS or (role == "assistant" and message.get("channel") == "analysis"):
        yield Noted("thoughts")
    elif role == "assistant" and content_type in NO_ANSWER:
        yield Noted("tool")
    elif role == "assistant" and message.get("recipient") in CANVAS:
        yield Noted("canvas document")
        if document := _document(content):
            yield Document(document, parse_time(message.get("create_time")))
    elif role == "assistant" and message.get("recipient") not in (None, "all"):
        yield Noted("tool call")
    else:
        yield from _read_parts(where, role == "user", message, content, metadata)


def _read_parts(
    where: str, by_user: bool, message: Any, content: Any, metadata: Any
) -> Iterator[Message | Noted | Refused]:
    parts = content.get("parts")
    parts = [content.get("text")] if parts is None else [parts] if isinstance(parts, str) else parts
    if not isinstance(parts, list):
        yield Refused(where, f"`content.parts` is {kind_of(parts)}; expected a list")
        return
    texts: list[str] = []
    transcribed: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part is not None:
            kind = part.get("content_type") if isinstance(part, dict) else None
            yield Noted(NON_TEXT_PARTS.get(kind, "other part") if isinstance(kind, str) else "other part")
            transcribed += [text] if (text := _transcription(part)) else []
    texts = [text for text in texts if text.strip()] or transcribed
    text = "\n".join(texts if by_user else [seen for text in texts if (seen := as_seen(text)).strip()])
    model = metadata.get("model_slug")
    if text or by_user:
        ts = parse_time(message.get("create_time"))
        yield Message(by_user, text, ts, model if isinstance(model, str) else None)


def _transcription(part: Any) -> str | None:
    """Return the transcription, where a voice message carries it with its sound and not as a part of its own."""
    part = object_or_empty(part)
    sound = object_or_empty(part.get("audio_asset_pointer")) or part
    metadata = object_or_empty(sound.get("metadata"))
    return text_or_none(metadata.get("transcription")) or text_or_none(metadata.get("word_transcription"))


def _report(role: str, message: Any, content: Any, metadata: Any) -> str | None:
    """Return the report of Deep Research, which the page shows as an answer and an export has in a tool's name.

    It is a message marked as the result of a task, or the state of a widget, often as JSON in text.
    """
    if role != "tool":
        return None
    if metadata.get("is_async_task_result_message") is True:
        return _joined(content)
    for holder in (
        object_or_empty(metadata.get("chatgpt_sdk")).get("widget_state"),
        metadata.get("venus_widget_state"),
    ):
        try:
            state = orjson.loads(holder) if isinstance(holder, str) else holder
        except orjson.JSONDecodeError:
            continue
        if report := _joined(object_or_empty(object_or_empty(state).get("report_message")).get("content")):
            return report
    return None


def _joined(content: Any) -> str | None:
    parts = object_or_empty(content).get("parts")
    texts = [part for part in parts if isinstance(part, str) and part.strip()] if isinstance(parts, list) else []
    return "\n".join(texts) or None


def _document(content: dict[str, Any]) -> str | None:
    """Return the text of a canvas document; the message holds it as JSON in text."""
    parts = content.get("parts")
    raw = content.get("text") if parts is None else parts[0] if isinstance(parts, list) and parts else parts
    try:
        return text_or_none(object_or_empty(orjson.loads(raw or "")).get("content"))
    except (orjson.JSONDecodeError, TypeError):
        return None


def _misshapen(message: Any, role: Any) -> str:
    if not isinstance(message, dict):
        return f"the message is {kind_of(message)}; expected an object with `author` and `content`"
    missing = "author.role" if not isinstance(role, str) else "content"
    return f"`message.{missing}` is missing or of the wrong kind; expected `author.role` and an object `content`"
