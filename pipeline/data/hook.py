"""The turn that a coding assistant has just ended, from what its Stop hook is given and from its transcript. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson
import rfc8785

from endocrine.agents.capture.filters import cut_response, skip_reason
from endocrine.agents.capture.rules import CaptureRules
from endocrine.pipeline.data.ingest.transcript_text import is_written_by_tool
from endocrine.pipeline.data.ingest.values import object_or_empty, parse_time

Reason = Literal["parse_error", "no_prompt", "no_response", "meta", "slash_command", "short"]


class Skip(NamedTuple):
    """No turn is recorded. bad_lines: lines of the transcript that are no JSON objects."""

    reason: Reason
    bad_lines: int = 0


@dataclass(frozen=True)
class StoppedTurn:
    """A prompt and what it was answered."""

    audit_id: str
    session_id: str
    turn: int
    prompt: str
    response: str
    opened: float | None
    """Event time of the prompt; None: the transcript has none."""
    closed: float | None
    """Event time of the session's latest entry."""
    bad_lines: int


def stopped_turn(given: bytes, transcript: Iterable[bytes], rules: CaptureRules) -> StoppedTurn | Skip:
    """Return the turn. given: the hook's input, a JSON object with `session_id` and `last_assistant_message`.

    The prompt is the newest that a person wrote: where that is too short the turn is skipped, and no older prompt is
    taken for it.
    """
    hook = _object(given)
    if hook is None or not isinstance(session := hook.get("session_id"), str) or not session:
        return Skip("parse_error")
    prompt: str | None = None
    opened, closed, turn, bad_lines = None, None, -1, 0
    for line in transcript:
        if not line.strip():
            continue
        entry = _object(line)
        if entry is None:
            bad_lines += 1
            continue
        if entry.get("sessionId", session) == session:
            closed = parse_time(entry.get("timestamp")) or closed
        if (text := _typed(entry, session)) is not None:
            prompt, turn, opened = text, turn + 1, parse_time(entry.get("timestamp"))
    if prompt is None or not prompt.strip():
        return Skip("no_prompt", bad_lines)
    if (reason := skip_reason(prompt, rules)) is not None:
        return Skip(reason, bad_lines)
    response = hook.get("last_assistant_message")
    if not isinstance(response, str) or not response.strip():
        return Skip("no_response", bad_lines)
    named = hook.get("turn_number")
    turn = named if isinstance(named, int) and not isinstance(named, bool) and named >= 0 else turn
    digest = hashlib.sha256(rfc8785.dumps([session, turn, prompt])).hexdigest()[:32]
    return StoppedTurn(
        f"hook-{digest}", session, turn, prompt, cut_response(response, rules), opened, closed, bad_lines
    )


def _typed(entry: dict[str, Any], session: str) -> str | None:
    """The text of a user entry of this session that a person wrote; None for any other entry."""
    if entry.get("type") != "user" or entry.get("isMeta") is True or entry.get("isSidechain") is True:
        return None
    if entry.get("sessionId", session) != session:
        return None
    content = object_or_empty(entry.get("message")).get("content")
    if isinstance(content, list):
        texts = [one.get("text") for one in map(object_or_empty, content) if one.get("type") == "text"]
        content = "\n".join(text for text in texts if isinstance(text, str)) or None
    return content if isinstance(content, str) and not is_written_by_tool(content) else None


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
