"""A tool's output as its result record holds it: redacted at any depth, then cut to a size."""

from collections.abc import Mapping
from typing import Any

import orjson

from endocrine.agents._shared.redaction import redact, redact_names
from endocrine.agents.gating.rules import GatingRules

CUT = "[cut]"
_NAME = 256
"""Characters of a name, at most."""
_ENTRY = 4
"""Characters that an entry costs besides its text: quotes, colon, comma; and a list or an object its brackets."""
_WORST = 6
"""Bytes that a character may take as JSON: a control character is written \\u0000."""
_LONGEST = 64
"""Bits of a whole number that JSON readers take as one; a longer one is written as a fraction."""


def shown(output: Any, rules: GatingRules, chars: int, most_bytes: int | None = None) -> Any:
    """Return the output of at most about `chars` characters, redacted by names; what is cut says `[cut]`.

    Redacted first: a secret must not lose its name by the cut. An output is content that was asked for, so an address
    on a page stays; whether a model may see a key in it is for moderation to say. most_bytes: of it as JSON, at least
    1024. What comes out can be written as JSON, whatever came in.
    """
    return _within(redact_names(output, rules), chars, most_bytes)


def shown_error(output: Any, rules: GatingRules, chars: int, most_bytes: int | None = None) -> Any:
    """Return the same of an error, redacted by names and values, as everything recorded about calls is."""
    return _within(redact(output, rules), chars, most_bytes)


def _within(redacted: Any, chars: int, most_bytes: int | None) -> Any:
    cut = _cut(redacted, [chars])
    if most_bytes is not None and len(orjson.dumps(cut)) > most_bytes:
        # What surpasses the room by its last name or text is paid from a part of it that is set aside.
        cut = _cut(redacted, [max(0, min(chars, most_bytes // _WORST - 2 * _NAME))])
        return cut if len(orjson.dumps(cut)) <= most_bytes else CUT
    return cut


def _cut(value: Any, left: list[int]) -> Any:
    """left: one number, the characters that may still be used."""
    if isinstance(value, str):
        kept = value if len(value) <= left[0] else value[: max(0, left[0])] + CUT
        left[0] -= len(kept) + _ENTRY
        return _text(kept)
    if isinstance(value, Mapping):
        some: dict[str, Any] = {}
        for name, inner in value.items():
            if left[0] <= 0:
                some[CUT] = len(value) - len(some)
                break
            left[0] -= min(len(name), left[0]) + _ENTRY
            some[_text(name[:_NAME])] = _cut(inner, left)
        left[0] -= _ENTRY
        return some
    if isinstance(value, list):
        items: list[Any] = []
        for inner in value:
            if left[0] <= 0:
                items.append(CUT)
                break
            items.append(_cut(inner, left))
        left[0] -= _ENTRY
        return items
    left[0] -= 2 * _ENTRY
    return _written(value)


def _written(value: Any) -> Any:
    """A number, a truth value or null, as it can be written."""
    if isinstance(value, int) and value.bit_length() >= _LONGEST:
        try:
            return float(value)
        except OverflowError:
            return CUT
    return value


def _text(text: str) -> str:
    """What can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
