"""One message of a ChatGPT export: who said it, the text of its parts, and what of it is no text of the chat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.ingest.model import Noted, Refused, Skipped
from pipeline.ingest.source import kind_of, parse_time

CONTEXT = frozenset({"user_editable_context", "model_editable_context"})
"""Content types that carry a profile or memories, in the user's or the assistant's name."""
THOUGHTS = frozenset({"thoughts", "reasoning_recap"})
NON_TEXT_PARTS = {
    "image_asset_pointer": "image",
    "audio_asset_pointer": "audio",
    "real_time_user_audio_video_asset_pointer": "audio",
    "video_container_asset_pointer": "video",
}
"""Parts without text, by the name they are counted under; others are `other part`."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the chat."""

    by_user: bool
    text: str
    ts: float | None
    model: str | None


def read_message(where: str, message: Any) -> Iterator[Said | Noted | Skipped | Refused]:
    """What is to be said of a message; `Said` at most once."""
    author = message.get("author") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    role = author.get("role") if isinstance(author, dict) else None
    if not isinstance(role, str) or not isinstance(content, dict):
        yield Refused(where, _misshapen(message, role))
        return
    metadata = message.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    content_type = content.get("content_type")
    if role not in ("user", "assistant"):
        yield Noted(role if role in ("system", "tool") else "other role")
    elif metadata.get("is_visually_hidden_from_conversation") is True or content_type in CONTEXT:
        yield Skipped("meta") if role == "user" else Noted("hidden")
    elif metadata.get("is_user_system_message") is True:
        yield Skipped("meta")
    elif content_type in THOUGHTS:
        yield Noted("thoughts")
    elif role == "assistant" and message.get("recipient") not in (None, "all"):
        yield Noted("tool call")
    else:
        yield from _said(where, role == "user", message, content, metadata)


def _said(where: str, by_user: bool, message: Any, content: Any, metadata: Any) -> Iterator[Said | Noted | Refused]:
    parts = content.get("parts")
    parts = [content.get("text")] if parts is None else parts
    if not isinstance(parts, list):
        yield Refused(where, f"`content.parts` is {kind_of(parts)}; expected a list")
        return
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part is not None:
            kind = part.get("content_type") if isinstance(part, dict) else None
            yield Noted(NON_TEXT_PARTS.get(kind, "other part") if isinstance(kind, str) else "other part")
    text = "\n".join(text for text in texts if text.strip())
    model = metadata.get("model_slug")
    if text or by_user:
        ts = parse_time(message.get("create_time"))
        yield Said(by_user, text, ts, model if isinstance(model, str) else None)


def _misshapen(message: Any, role: Any) -> str:
    if not isinstance(message, dict):
        return f"the message is {kind_of(message)}; expected an object with `author` and `content`"
    missing = "author.role" if not isinstance(role, str) else "content"
    return f"`message.{missing}` is missing or of the wrong kind; expected `author.role` and an object `content`"
