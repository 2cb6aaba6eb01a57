"""Canonical JSON (RFC 8785): one sequence of bytes for equal JSON values, whoever writes them.

The package `rfc8785` is the reference, and takes some hundred microseconds for a record. orjson takes ten, and writes
the same bytes once numbers are given to it in the form that both agree on; everything else goes to the package.
"""

import re
from typing import Any

import orjson
import rfc8785

EXACT = 2**53 - 1
"""Integers up to here are exact as doubles, and no other integer rounds to them: the numbers of I-JSON (RFC 7493)."""
PLAIN_FROM = 1e-5
"""Smaller fractions are written by one with an exponent and by the other without."""
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_LEAVES = frozenset((str, int, bool, type(None)))
_BEYOND = re.compile(rb"[\xf0-\xf4]")
_BELOW = re.compile(rb"[\xee\xef]")


class _Unsure(Exception):
    """A value of which it is not sure that both write it alike."""


def canonical_json(value: Any) -> bytes:
    """Return the canonical form of a JSON value.

    Raises rfc8785.CanonicalizationError for what has none: NaN, infinities, integers beyond 2**53 - 1, half of a
    surrogate pair (in a key, UnicodeEncodeError), and what is no JSON.

    >>> canonical_json({"b": 1.0, "a": [1e21, "\\u20ac"]})
    b'{"a":[1e+21,"\\xe2\\x82\\xac"],"b":1}'
    """
    try:
        written = orjson.dumps(_alike(value), option=_OPTIONS)
    except (_Unsure, TypeError, RecursionError):
        return rfc8785.dumps(value)
    if not written.isascii() and _BEYOND.search(written) and _BELOW.search(written):
        # UTF-16 puts characters beyond U+FFFF before U+E000 to U+FFFF, UTF-8 after them: with both, keys may be sorted
        # otherwise.
        return rfc8785.dumps(value)
    return written


def _alike(value: Any) -> Any:
    """The value with its numbers as both write them: whole ones as integers."""
    kind = value.__class__
    if kind is dict:
        return {name: one if one.__class__ in _LEAVES else _alike(one) for name, one in value.items()}
    if kind is list or kind is tuple:
        return [one if one.__class__ in _LEAVES else _alike(one) for one in value]
    if kind is float:
        if not -EXACT <= value <= EXACT:
            raise _Unsure
        if value.is_integer():
            return int(value)
        if -PLAIN_FROM < value < PLAIN_FROM:
            raise _Unsure
    elif kind not in _LEAVES:
        raise _Unsure
    return value
