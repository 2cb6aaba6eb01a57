"""Reading the arguments of a tool call: strict JSON, one meaning only."""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson


def within(arguments: Mapping[str, Any] | None, chars: int) -> Mapping[str, Any] | None:
    """Arguments that were read, or None where they are longer than `chars` characters as compact JSON."""
    if arguments is None:
        return None
    return arguments if len(json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))) <= chars else None


def read_arguments(arguments: Mapping[str, Any] | str, depth: int) -> Mapping[str, Any] | None:
    """The arguments as an object, or None where they are not exactly one finite JSON object.

    A string must be JSON to the letter: a repeated key, NaN, an infinite number, a lone surrogate, or more than `depth`
    levels of objects and lists is refused, because two readers might see two different things in it.
    """
    value: Any = read_json(arguments, depth) if isinstance(arguments, str) else arguments
    return value if isinstance(value, Mapping) and _fits(value, depth) else None


def read_json(text: str, depth: int) -> Any:
    """The JSON object or list a text is, under the same terms; None where it is not one."""
    value = _parse(text)
    return value if isinstance(value, (Mapping, list)) and _fits(value, depth) else None


def read_text(text: str) -> str | None:
    """The text that a JSON string stands for; None where the text is not exactly one JSON string."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def _parse(text: str) -> Any:
    try:
        orjson.loads(text)  # strict where `json` is lax (NaN, 1e999, surrogates), and its depth limit is a fixed one
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):  # too deep for `json` alone means a key is repeated: refused either way
        return None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated")
    return value


def _fits(value: Any, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth):
        if not level:
            return True
        members = [m for part in level for m in (part.values() if isinstance(part, Mapping) else part)]
        if any(isinstance(m, float) and not math.isfinite(m) for m in members):
            return False
        level = [m for m in members if isinstance(m, (Mapping, list))]
    return not level
