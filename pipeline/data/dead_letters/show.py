"""One dead letter for a person: without secrets and without what people wrote, unless they ask for the raw bytes."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.agents._shared.redaction import REDACTED, redact
from endocrine.agents.gating.rules import GatingRules
from endocrine.pipeline.core.records import ERROR, REKEYED_FROM, SourceRecord
from endocrine.pipeline.data.dead_letters.letters import Letter, error_of, parsed
from endocrine.pipeline.data.dead_letters.select import row

WRITTEN = frozenset({
    "prompt", "response", "response_summary", "context_pack", "content", "messages", "output", "text", "note", "notes",
    "arguments",
})  # fmt: skip
"""Fields that hold what people or models wrote: shown as their length."""
_QUOTED = re.compile(r"(, got )(.*?)(?=; |$)", re.DOTALL)
"""What a reason says of a value."""
_KIND = re.compile(
    r"a string of \d+ characters|an object of \d+ fields|a list of \d+|true or false|null|a number", re.ASCII
)
"""What our own reasons say (`pipeline.core.decode`): the kind of a value, never the value. Others may quote it."""
_PLACE = re.compile(r"[a-z-]+/\d+/\d+")


def summary(letter: Letter, raw: SourceRecord, rules: GatingRules, *, bare: bool) -> dict[str, Any]:
    """Return everything about one dead letter. bare: bytes and headers as they are.

    The value is JSON, text, or hexadecimal (`encoding` says which). Redacted, bytes that are no JSON are not shown:
    what cannot be read cannot be redacted.
    """
    headers = dict(raw.headers)
    reason = error_of(headers)
    shown = {name: _text(content) for name, content in raw.headers}
    if not bare:
        reason = _QUOTED.sub(lambda got: got[1] + (got[2] if _KIND.fullmatch(got[2]) else REDACTED), reason)
        moved = shown.get(REKEYED_FROM)
        shown = redact(shown, rules)
        if moved is not None and _PLACE.fullmatch(moved):
            shown[REKEYED_FROM] = moved  # "key" in its name makes it look like a secret
        if shown.get(ERROR) is not None:
            shown[ERROR] = reason
    actions = [action.model_dump() for action in letter.actions]
    value = bare_value(raw.value) if bare else redacted_value(raw.value, rules)
    return row(letter) | {"key": _text(raw.key), "reason": reason, "headers": shown, "actions": actions} | value


def bare_value(value: bytes | None) -> dict[str, Any]:
    """Return the bytes: as text where they are UTF-8, else hexadecimal."""
    if value is None:
        return {"encoding": "none", "value": None}
    try:
        return {"encoding": "text", "value": value.decode()}
    except UnicodeDecodeError:
        return {"encoding": "hex", "value": value.hex()}


def redacted_value(value: bytes | None, rules: GatingRules) -> dict[str, Any]:
    """Return the value without what must not be shown."""
    if value is None:
        return {"encoding": "none", "value": None}
    if not value:
        return {"encoding": "text", "value": ""}
    read = parsed(value)
    if not isinstance(read, (dict, list)):
        return {"encoding": "hidden", "value": f"[{len(value)} bytes that are no JSON object; --raw shows them]"}
    return {"encoding": "json", "value": _without_writing(redact(read, rules))}


def _without_writing(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _length(v) if k in WRITTEN and v else _without_writing(v) for k, v in value.items()}
    return [_without_writing(item) for item in value] if isinstance(value, list) else value


def _length(value: Any) -> Any:
    if isinstance(value, str):
        return value if value == REDACTED else f"[{len(value)} characters]"
    return f"[{len(orjson.dumps(value))} bytes of JSON]"


def _text(content: bytes | None) -> str | None:
    text: str | None = bare_value(content)["value"]
    return text
