"""What of a tool call's arguments may be shown: redacted at any depth, then shortened (rules, section 4)."""

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from agents.gating.arguments import read_arguments, read_json
from agents.gating.rules import GatingRules

REDACTED = "[redacted]"
_ELLIPSIS = "…"


def redact(value: Any, rules: GatingRules) -> Any:
    """A copy of a JSON value without what must not be shown.

    Replaced by `[redacted]`: the value of every key whose name contains one of `rules.redacted_keys` (any case,
    full-width letters included), at any depth, inside strings that are JSON themselves, and as parameters in web
    addresses. Whatever lies deeper than `rules.arguments_depth` is replaced whole.
    """
    return _redact(value, rules, rules.arguments_depth)


def summarise(arguments: Mapping[str, Any] | str, rules: GatingRules) -> str:
    """One line about a call's arguments: redacted JSON of at most `rules.summary_chars` characters.

    Arguments that are no valid JSON object are described, not shown: what cannot be read cannot be redacted.
    """
    value = read_arguments(arguments, rules.arguments_depth)
    if value is None:
        return f"[not a JSON object: {len(arguments)} {'characters' if isinstance(arguments, str) else 'entries'}]"
    text = _compact(redact(value, rules))
    return text if len(text) <= rules.summary_chars else text[: rules.summary_chars - len(_ELLIPSIS)] + _ELLIPSIS


def _redact(value: Any, rules: GatingRules, depth: int) -> Any:
    if isinstance(value, str):
        return _redact_text(value, rules, depth)
    if isinstance(value, Mapping):
        if depth <= 0:
            return REDACTED
        return {k: REDACTED if _hidden(k, rules) else _redact(v, rules, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(v, rules, depth - 1) for v in value] if depth > 0 else REDACTED
    return value


def _redact_text(text: str, rules: GatingRules, depth: int) -> str:
    if text.lstrip()[:1] in ("{", "["):
        nested = read_json(text, rules.arguments_depth)
        if nested is not None:
            return _compact(_redact(nested, rules, depth))
    return _parameters(rules.redacted_keys).sub(rf"\1{REDACTED}", text)


def _hidden(key: str, rules: GatingRules) -> bool:
    name = unicodedata.normalize("NFKC", key).casefold()
    return any(word in name for word in rules.redacted_keys)


@lru_cache(maxsize=8)
def _parameters(words: tuple[str, ...]) -> re.Pattern[str]:
    """`name=value` in an address or a form, where the name contains one of the words; bounded: linear time."""
    name = "|".join(map(re.escape, words))
    return re.compile(rf"((?:[?&;\s]|^)[^=&?;\s]{{0,64}}(?:{name})[^=&?;\s]{{0,64}}=)[^&;#\s]+", re.IGNORECASE)


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")
