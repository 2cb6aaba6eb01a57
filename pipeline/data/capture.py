"""Turns that are over, as a program hands them to `endocrine capture`: one JSON object a line. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson
import rfc8785

from endocrine.agents.capture.filters import cut_response, skip_reason
from endocrine.agents.capture.rules import CaptureRules

Reason = Literal["parse_error", "no_prompt", "no_response", "meta", "slash_command", "short"]
TEXTS = ("identity", "session_id", "project", "client", "model")
FIELDS = ("prompt", "response", "turn", "ts", *TEXTS)


class Skipped(NamedTuple):
    """No turn is recorded."""

    reason: Reason


@dataclass(frozen=True)
class CapturedTurn:
    """A prompt and what it was answered."""

    audit_id: str
    opened: dict[str, Any]
    """Fields of the opening that were named."""
    response: str


def captured_turn(line: bytes, rules: CaptureRules) -> CapturedTurn | Skipped:
    """Return the turn of a line: `prompt`, `response`, and what else of `FIELDS` it names; other fields are a fault.

    Its id follows from identity, session, turn and prompt, so that the same line again is the same turn.
    """
    given = _object(line)
    if given is None:
        return Skipped("parse_error")
    prompt, response = given.pop("prompt", None), given.pop("response", None)
    if not isinstance(prompt, str) or not prompt.strip():
        return Skipped("no_prompt")
    if (reason := skip_reason(prompt, rules)) is not None:
        return Skipped(reason)
    if not isinstance(response, str) or not response.strip():
        return Skipped("no_response")
    named = [given.get("identity"), given.get("session_id"), given.get("turn"), prompt]
    audit_id = f"capture-{hashlib.sha256(rfc8785.dumps(named)).hexdigest()[:32]}"
    return CapturedTurn(audit_id, {**given, "prompt": prompt}, cut_response(response, rules))


def _object(line: bytes) -> dict[str, Any] | None:
    """The object, without fields that are null; None for anything else, and where a field has another form."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.keys() - set(FIELDS):
        return None
    given = {name: part for name, part in value.items() if part is not None}
    if any(not isinstance(given.get(name, ""), str) for name in TEXTS):
        return None
    turn, ts = given.get("turn", 0), given.get("ts", 0)
    whole = isinstance(turn, int) and not isinstance(turn, bool) and turn >= 0
    return given if whole and isinstance(ts, int | float) and not isinstance(ts, bool) else None
