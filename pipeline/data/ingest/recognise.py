"""Whose file is it: one of our formats, another tool's, or no chat at all."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from endocrine.pipeline.data.ingest.foreign import FOREIGN, NO_CHAT_NAMES, no_chat
from endocrine.pipeline.data.ingest.model import LeftOut, Refused
from endocrine.pipeline.data.ingest.sample import Sample, take_sample
from endocrine.pipeline.data.ingest.values import object_or_empty, text_or_none

AUTO = "auto"
HEADING = re.compile(
    r"^[\s\u200b-\u200f\u2060#>*_]*(?:You|ChatGPT)\ssaid:?[\s\u200b-\u200f\u2060*_:]*$", re.MULTILINE | re.IGNORECASE
)
TRANSCRIPT_TYPES = frozenset(
    {
        "user", "assistant", "system", "summary", "attachment", "progress", "result", "queue-operation",
        "file-history-snapshot", "custom-title", "ai-title", "last-prompt", "agent-name", "pr-link", "mode",
        "permission-mode", "stream_event",
    }
)  # fmt: skip
"""Entry types of a transcript by which it is recognised."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file looks like; at most one of the three is set."""

    format_name: str | None = None
    foreign: str | None = None
    """The tool or format whose file it is, which is not read."""
    no_chat: str | None = None
    """What kind of file it is that holds no chats."""


def recognise(head: bytes, name: str = "") -> Recognised:
    """Return what a file looks like by its beginning and, where that is not enough, its name."""
    sample = take_sample(head)
    mine = next((format_name for format_name, fits in FITS.items() if fits(sample)), None)
    if mine is not None:
        return Recognised(mine)
    foreign = next((tool for tool, fits in FOREIGN if fits(sample)), None)
    if foreign is not None:
        return Recognised(foreign=foreign)
    return Recognised(no_chat=no_chat(sample, name))


def guess(head: bytes) -> str | None:
    """Name the format that the beginning of a file looks like, or None."""
    return recognise(head).format_name


def choose(format_name: str, head: bytes, name: str, alone: bool, expected: str) -> str | Refused | LeftOut:
    """Choose the format to read a file as, or say why it is not read.

    format_name: what the person gave, or AUTO. alone: the person named this very file, so in doubt it is read.
    expected: what that format expects, for the refusal.
    """
    if PurePath(name.rpartition("!")[2]).name in NO_CHAT_NAMES and not alone:
        return LeftOut("no chat: part of an export")
    if format_name != AUTO and FITS[format_name](take_sample(head)):
        return format_name
    found = recognise(head, name)
    if found.format_name is not None:
        if format_name == AUTO:
            return found.format_name
        problem = f"looks like {found.format_name}; try --format {found.format_name}"
        return Refused(name, f"{problem} (with --format {format_name}, expected {expected})")
    if found.foreign is not None:
        return Refused(name, f"looks like {found.foreign}, which ingest does not read; expected {expected}")
    if format_name != AUTO and alone:
        return format_name
    if found.no_chat is not None and not alone:
        return LeftOut(found.no_chat)
    found_as = f"is {found.no_chat}" if found.no_chat else "is not recognised"
    return Refused(name, f"{found_as}; expected {expected}")


def _chatgpt(sample: Sample) -> bool:
    first = sample.first
    conversations = first.get("conversations")
    if isinstance(conversations, list) and conversations:
        first = object_or_empty(conversations[0])
    if not isinstance(mapping := first.get("mapping"), dict):
        return first.keys() >= {"conversation_id", "current_node"}
    nodes = [node for node in mapping.values() if isinstance(node, dict)]
    return not any("fragments" in object_or_empty(node.get("message")) for node in nodes)


def _claude_export(sample: Sample) -> bool:
    first = sample.first
    conversations = first.get("conversations")
    if isinstance(conversations, list) and conversations:
        first = object_or_empty(conversations[0])
    return isinstance(first.get("chat_messages"), list)


def _transcript(sample: Sample) -> bool:
    printed = () if sample.rows else (sample.first, *sample.items)
    return any(_is_transcript_row(row) for row in (*sample.rows, *printed))


def _is_transcript_row(row: dict[str, Any]) -> bool:
    if text_or_none(row.get("type")) not in TRANSCRIPT_TYPES or "role" in row or "data" in row:
        return False
    if isinstance(row.get("message"), dict):
        return isinstance(row["message"].get("role", ""), str) and "content" in row["message"]
    named = isinstance(row.get("sessionId"), str) or isinstance(row.get("session_id"), str)
    return (named and "message" not in row) or row["type"] in ("summary", "file-history-snapshot")


def _otel(sample: Sample) -> bool:
    if sample.has("resourceSpans") or sample.has("resourceLogs") or sample.any_row("resourceSpans"):
        return True
    return b'"gen_ai.' in sample.head and any(
        "attributes" in row for row in (sample.first, *sample.items, *sample.rows)
    )


FITS: dict[str, Callable[[Sample], bool]] = {
    "jsonl": lambda sample: sample.any_row("topic", "value"),
    "behave-jsonl": lambda sample: sample.any_row("primitive", "window"),
    "chatgpt-export": _chatgpt,
    "claude-export": _claude_export,
    "otel-genai": _otel,
    "claude-transcript": _transcript,
    "text": lambda sample: HEADING.search(sample.text) is not None and sample.text.lstrip()[:1] not in ("{", "[", "<"),
}
"""How each format is recognised."""
