"""Reading the arguments of a tool call: strict JSON, one meaning only."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson
import rfc8785

from endocrine.agents.canonical import canonical_json
from endocrine.agents.gating.rules import GatingRules


def judged_arguments(
    arguments: Mapping[str, Any] | str, rules: GatingRules
) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the arguments that a call is decided on and run with, and their digest; None for both if there are none.

    The digest is the SHA-256 of their canonical JSON (RFC 8785), hexadecimal: what a decision names and a connector
    compares. Arguments without a canonical form (an integer beyond 2**53 - 1) are none: readers might differ on them.
    """
    read = read_arguments(arguments, rules.arguments_depth)
    if read is None or len(json.dumps(read, ensure_ascii=False, separators=(",", ":"))) > rules.arguments_chars:
        return None, None
    digest = digest_of(read)
    return (None, None) if digest is None else (read, digest)


def digest_of(arguments: Mapping[str, Any]) -> str | None:
    """Return the digest of arguments that were read; None where they have no canonical form."""
    try:
        return hashlib.sha256(canonical_json(arguments)).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return None


def read_arguments(arguments: Mapping[str, Any] | str, depth: int) -> Mapping[str, Any] | None:
    """Return the arguments as an object, or None where they are not exactly one finite JSON object.

    A string must be JSON to the letter: a repeated key, NaN, an infinite number, a lone surrogate, or more than `depth`
    levels of objects and lists is refused, because two readers might see two different things in it.
    """
    value: Any = read_json(arguments, depth) if isinstance(arguments, str) else arguments
    return value if isinstance(value, Mapping) and _fits(value, depth) else None


def read_json(text: str, depth: int) -> Any:
    """Return the JSON object or list a text is, under the same terms; None where it is not one."""
    value = _parse(text)
    return value if isinstance(value, (Mapping, list)) and _fits(value, depth) else None


def read_text(text: str) -> str | None:
    """Return the text of a JSON string; None where the text is not exactly one JSON string."""
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
