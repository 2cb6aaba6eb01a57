"""What of a tool's output is said: redacted at any depth, then cut to a size."""

from collections.abc import Mapping
from typing import Any

from agents._shared.redaction import redact, redact_names
from agents.gating.rules import GatingRules

CUT = "[cut]"
_NAME = 256
"""Characters of a name, at most."""
_ENTRY = 4
"""Characters that an entry costs besides its text: quotes, colon, comma."""


def shown(output: Any, rules: GatingRules, chars: int) -> Any:
    """The output of at most about `chars` characters, redacted by names; what is cut says `[cut]`.

    Redacted first: a secret must not lose its name by the cut. An output is content that was asked for, so an address
    on a page stays; whether a model may see a key in it is for moderation to say.
    """
    return _cut(redact_names(output, rules), [chars])


def shown_error(output: Any, rules: GatingRules, chars: int) -> Any:
    """The same of an error, redacted by names and values as everything is that is said about calls."""
    return _cut(redact(output, rules), [chars])


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
        return some
    if isinstance(value, list):
        items: list[Any] = []
        for inner in value:
            if left[0] <= 0:
                items.append(CUT)
                break
            items.append(_cut(inner, left))
        return items
    left[0] -= 2 * _ENTRY
    return value


def _text(text: str) -> str:
    """What can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
