"""How a value is kept in the series: a number, a hash, or a label whose equality is equality of JSON values."""

import hashlib
import json
from math import isfinite
from typing import Any

import rfc8785

from endocrine.agents.canonical import EXACT, canonical_json
from endocrine.agents.contract import Reject


def number(primitive: str, value: Any) -> float:
    """Return the value of a numeric primitive; Reject (`wrong_value_kind`) unless it is a finite number."""
    if value.__class__ is float and isfinite(value):
        return float(value)
    if value.__class__ is int:
        try:
            return float(value)
        except OverflowError:
            raise _wrong(
                primitive, "an integer beyond double precision", "a number within plus or minus 1.8e308"
            ) from None
    raise _wrong(primitive, repr(value) if isinstance(value, float) else _word(value), "a finite number (numeric)")


def fingerprint(primitive: str, value: Any, longest: int) -> str:
    """Return the value of a hash primitive; Reject (`wrong_value_kind`) unless it is a string that is not empty."""
    if value.__class__ is str and value:
        return value if len(value) <= longest else _digest(value)
    raise _wrong(primitive, "an empty string" if value == "" else _word(value), "a string that is not empty (hash)")


def label(primitive: str, value: Any, longest: int) -> Any:
    """Return the label of a value that is only ever compared. `shown` undoes the one wrapping.

    Strings and booleans are their own labels. A number is wrapped in a list, because Python holds 1 and True for
    equal and JSON does not. A list or object becomes its canonical JSON: one opaque label. Over `longest` characters,
    a label is kept as its SHA-256.
    """
    if value.__class__ is str:
        return value if len(value) <= longest else _digest(value)
    if value.__class__ is bool:
        return value
    if isinstance(value, (int, float)):
        # Larger integers are kept as doubles: 2**53 and 2**53 + 1 are the same one, and equal labels are shown alike.
        exact = value.__class__ is int and abs(value) <= EXACT
        return [value if exact else number(primitive, value)]
    text = _canonical(primitive, value)
    return text if len(text) <= longest else _digest(text)


def shown(kept: Any) -> Any:
    """Return the value as outputs carry it: numbers unwrapped."""
    return kept[0] if kept.__class__ is list else kept


def _canonical(primitive: str, value: Any) -> str:
    if value.__class__ is list and all(item.__class__ is str for item in value):
        return _encode(value)  # for plain strings the same text, three times as fast
    try:
        return canonical_json(value).decode()
    except rfc8785.IntegerDomainError:
        # RFC 8785 has no form for integers beyond 2**53 - 1; rounding them would make different ones equal.
        try:
            return _encode(value).encode().decode()
        except ValueError as error:
            raise _wrong(
                primitive, f"{_word(value)} without a JSON form ({error})", "finite numbers and text"
            ) from None
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise _wrong(primitive, f"{_word(value)} without a JSON form ({error})", "finite numbers and text") from None


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


_WORDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}


def _word(value: Any) -> str:
    return _WORDS.get(value.__class__, "null" if value is None else value.__class__.__name__)


def _wrong(primitive: str, got: str, expected: str) -> Reject:
    return Reject(
        "wrong_value_kind",
        f"value of primitive {primitive!r} is {got}; expected {expected}. Correct the sensor that sent it, or the"
        f" primitive's kind in the policy's section `primitives`",
    )
