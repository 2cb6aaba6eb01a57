"""What of a transcript's user entry the person typed, and what a tool wrote in their place or around it."""

import re
from dataclasses import dataclass, field
from typing import Any

from endocrine.pipeline.data.ingest.model import Noted, Refused
from endocrine.pipeline.data.ingest.values import kind_of, object_or_empty

TEXT_FREE = frozenset({"image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})
"""Blocks without text of the chat, by the name they are counted under; others are `other block`."""
SHOWN = frozenset({"image", "document"})
"""Blocks that alone make a prompt: one without text."""
INTERRUPTION = "[Request interrupted by user"
"""What the assistant's program writes in the user's place when it is stopped."""
NO_ANSWERS = frozenset({"(no content)", "No response requested."})
"""What the program writes in the model's place where the model wrote nothing, under the model's name."""
_CONTEXT_TAGS = (
    r"ide_[a-z_]+|system-reminder|system_reminder|local-command-caveat|environment_details|environment_context|"
    r"new-diagnostics|user-prompt-submit-hook|session-start-hook|[a-z]+(?:-[a-z]+)*-hook|additional-context|git-status"
)
_LEADING = re.compile(rf"\s*<({_CONTEXT_TAGS})(?:\s[^<>]*)?>.*?</\1>\s*", re.DOTALL)
_TRAILING = re.compile(rf"\s*<({_CONTEXT_TAGS})(?:\s[^<>]*)?>(?:(?!<\1[\s>]).)*?</\1>\s*\Z", re.DOTALL)
_ELEMENT = re.compile(r"\s*<(?!command-|bash-input)([A-Za-z][\w:-]*)(?:\s[^<>]*)?>(?:(?!</\1>).)*</\1>\s*", re.DOTALL)
"""One whole element, but none that holds a command the person gave."""
_WRITTEN_BY_TOOL = re.compile(
    r"""\s*(?:
        <(?:local-command-stdout|local-command-stderr|local-command-caveat|bash-stdout|bash-stderr|task-notification)\b
      | \[(?:Your|The)\ (?:previous|last)\ (?:response|message|reply|turn|output)\b[^\]]*\]\s*\Z
      | This\ session\ is\ being\ continued\ from\ a\ previous\ conversation\b
      | Caveat:\ The\ messages\ below\ were\ generated\ by\ the\ user\ while\ running\ local\ commands\b
      | Stop\ hook\ feedback:
      | Base\ directory\ for\ this\ skill:
      | \[(?:SYSTEM\ NOTIFICATION|Image:\ (?:source:|original\ ))
      | \(no\ content\)\s*\Z
      | Another\ Claude\ (?:Code\ )?session\ (?:has\ )?sent\ (?:you\ )?a\ message:
      | Unknown\ (?:slash\ command|command|skill):\ \S+\s*\Z
    )""",
    re.VERBOSE,
)
"""What a program writes as a user entry without marking it: nobody typed that, and the turn goes on."""
_IMAGE_MARK = re.compile(r"\[Image(?: #\d+)?\]")
"""The placeholder of a pasted image in the text."""


@dataclass(slots=True)
class Content:
    """The content of an entry, taken apart."""

    texts: list[str] = field(default_factory=list)
    shown: int = 0
    """Images and documents."""
    has_result: bool = False
    """A tool's result is among the blocks."""
    pieces: list[Noted | Refused] = field(default_factory=list)
    readable: bool = True
    """False: `content` is no text and no list."""


def read_content(where: str, message: dict[str, Any]) -> Content:
    """Take the content of a message apart: text, a block, or a list of either."""
    content = message.get("content")
    found = Content()
    blocks = [content] if isinstance(content, str | dict) else content
    if not isinstance(blocks, list):
        problem = f"`message.content` is {kind_of(content)}" if "content" in message else "no `message.content`"
        found.pieces.append(Refused(where, f"{problem}; expected text or a list of blocks"))
        found.readable = False
        return found
    for block in blocks:
        if isinstance(block, str):
            block = {"type": "text", "text": block}
        kind = object_or_empty(block).get("type")
        if not isinstance(kind, str):
            problem = f"a block of `message.content` is no object with `type` ({kind_of(block)}); expected one"
            found.pieces.append(Refused(where, problem))
        elif kind != "text":
            found.shown += kind in SHOWN
            found.has_result = found.has_result or kind == "tool_result"
            found.pieces.append(Noted(kind if kind in TEXT_FREE else "other block"))
        elif not isinstance(text := block.get("text"), str):
            found.pieces.append(Refused(where, f"a text block's `text` is {kind_of(text)}; expected a string"))
        elif text.strip():
            found.texts.append(text)
    return found


def typed(texts: list[str]) -> tuple[str, int]:
    """Return what the person typed, and the number of blocks of context left out of it.

    An editor puts context before the prompt and programs put reminders around it: as blocks of their own (any whole
    element beside another text) or in the same text (elements of known names at its beginning and end). What remains
    is empty where nothing was typed.
    """
    kept = [text for text in texts if not _ELEMENT.fullmatch(text)] if len(texts) > 1 else texts
    left_out = len(texts) - len(kept)
    stripped = []
    for text in kept:
        while match := _LEADING.match(text):
            text, left_out = text[match.end() :], left_out + 1
        while match := _TRAILING.search(text):
            text, left_out = text[: match.start()], left_out + 1
        stripped.append(text)
    return "\n\n".join(text for text in stripped if text.strip()), left_out


def is_written_by_tool(text: str) -> bool:
    """Return whether a user entry was written by a program without a flag that says so."""
    return _WRITTEN_BY_TOOL.match(text) is not None


def without_image_marks(text: str) -> str:
    """Return the text without the placeholders of pasted images.

    >>> without_image_marks("[Image #1] [Image #2]"), without_image_marks("What is [Image #1]?")
    ('', 'What is [Image #1]?')
    """
    return text if _IMAGE_MARK.sub("", text).strip() else ""
