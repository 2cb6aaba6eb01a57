"""Format `claude-transcript`: the JSONL transcript of a coding assistant.

A user entry with text is a prompt, all assistant text up to the next prompt its response. Tool calls and their results
are neither; entries with `isMeta` or `isCompactSummary` are counted as meta; sidechains (sub-agents) are skipped.
Several sessions may share a file.
"""

from collections import Counter
from typing import Any, BinaryIO

from pipeline.ingest.dialogue import Dialogue
from pipeline.ingest.model import Noted, Options, Pieces, Refused, Skipped
from pipeline.ingest.source import json_objects, kind_of, parse_time

EXPECTED = "one transcript entry per line, a JSON object with `type` (user, assistant, ...) and `message`"
INTERRUPTION = "[Request interrupted by user"
"""What the assistant writes in the user's place when it is stopped."""
NO_SESSION = "transcript"
TEXT_FREE = frozenset({"image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})
"""Blocks without text of the chat, by the name they are counted under; others are `other block`."""


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """The turns of all sessions, each when its next prompt or the end is reached."""
    reader = _Reader(options.start_ts)
    for item in json_objects(stream, name, EXPECTED):
        if isinstance(item, Refused):
            yield item
            yield from reader.refuse_all()
        else:
            yield from reader.entry(*item)
    for dialogue in reader.sessions.values():
        yield from dialogue.end()


class _Reader:
    def __init__(self, start_ts: float) -> None:
        self.start_ts = start_ts
        self.sessions: dict[str, Dialogue] = {}
        self.seen: Counter[tuple[str, str]] = Counter()

    def refuse_all(self) -> Pieces:
        """An entry could not be read at all: in whichever session it was, it may have been a prompt."""
        for dialogue in self.sessions.values():
            yield from dialogue.refuse()

    def entry(self, where: str, entry: dict[str, Any]) -> Pieces:
        kind = entry.get("type")
        if not isinstance(kind, str):
            yield Refused(where, f"has no `type`; expected {EXPECTED}")
            yield from self.refuse_all()
        elif kind not in ("user", "assistant"):
            yield Noted("other entry")
        elif entry.get("isSidechain") is True:
            yield Skipped("sidechain")
        elif entry.get("isMeta") is True or entry.get("isCompactSummary") is True:
            yield Skipped("meta")
        else:
            yield from self._message(where, kind, entry)

    def _message(self, where: str, kind: str, entry: dict[str, Any]) -> Pieces:
        session = entry.get("sessionId")
        session = session if isinstance(session, str) and session else NO_SESSION
        dialogue = self.sessions.setdefault(session, Dialogue(session, self.start_ts))
        message = entry.get("message")
        message = message if isinstance(message, dict) else {}
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list):
            found = f"`message.content` is {kind_of(content)}" if "content" in message else "no `message.content`"
            yield Refused(where, f"{found}; expected text or a list of blocks")
            if kind == "user":
                yield from dialogue.refuse()
            return
        texts: list[str] = []
        for block in blocks:
            text = _text(block)
            if isinstance(text, Refused | Noted):
                yield Refused(where, text.problem) if isinstance(text, Refused) else text
            elif text.strip():
                texts.append(text)
        if not texts:
            return
        text, ts = "\n\n".join(texts), parse_time(entry.get("timestamp"))
        if kind == "assistant":
            model = message.get("model")
            yield from dialogue.reply(text, ts, model if isinstance(model, str) and model[:1] != "<" else None)
        elif text.startswith(INTERRUPTION):
            yield Skipped("interruption")
        else:
            yield from dialogue.prompt(where, self._source_id(session, entry, text), text, ts)

    def _source_id(self, session: str, entry: dict[str, Any], text: str) -> str:
        """The entry's own id; without one, what it says and the how-manieth of its like it is."""
        uuid = entry.get("uuid")
        if isinstance(uuid, str) and uuid:
            return f"{session}\0{uuid}"
        likeness = (session, f"{entry.get('timestamp')}\0{text}")
        self.seen[likeness] += 1
        return "\0".join((*likeness, str(self.seen[likeness])))


def _text(block: Any) -> str | Noted | Refused:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return Refused("", f"a block of `message.content` is no object with `type` ({kind_of(block)})")
    if block["type"] != "text":
        return Noted(block["type"] if block["type"] in TEXT_FREE else "other block")
    text = block.get("text")
    return (
        text if isinstance(text, str) else Refused("", f"a text block's `text` is {kind_of(text)}; expected a string")
    )
