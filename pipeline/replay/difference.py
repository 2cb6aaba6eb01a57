"""Where two records differ, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from endocrine.pipeline.core.records import Headers

Content = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of a record: all that a reader of the topic can see of it but its offset and time."""
ABSENT = "(absent)"
MOST = 50
"""Differences reported of one record; a value of another kind differs everywhere."""


def form_of(raw: Any) -> Content:
    """Return what a reader sees of a record."""
    return raw.key, raw.value, tuple(map(tuple, raw.headers))


def differences(expected: Content, found: Content) -> list[dict[str, Any]]:
    """Return objects with `path`, `expected` and `found`; empty for equal records. At most 50.

    >>> differences((b"a", b'{"x": [1, 2]}', ()), (b"a", b'{"x": [1, 3]}', ()))
    [{'path': '$.x[1]', 'expected': 2, 'found': 3}]
    """
    differences = []
    if expected[0] != found[0]:
        differences.append(_difference("key", _text(expected[0]), _text(found[0])))
    if expected[1] != found[1]:
        differences += _values(expected[1], found[1])
    if expected[2] != found[2]:
        differences += _headers(expected[2], found[2])
    return differences[:MOST]


def json_differences(expected: Any, found: Any, path: str = "$") -> Iterator[dict[str, Any]]:
    """Yield the leaves in which two JSON values differ, by JSONPath."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in [*expected, *(name for name in found if name not in expected)]:
            yield from json_differences(expected.get(name, ABSENT), found.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list):
        for place in range(max(len(expected), len(found))):
            ours = expected[place] if place < len(expected) else ABSENT
            theirs = found[place] if place < len(found) else ABSENT
            yield from json_differences(ours, theirs, f"{path}[{place}]")
    elif type(expected) is not type(found) or expected != found:
        yield _difference(path, expected, found)


def _values(expected: bytes | None, found: bytes | None) -> list[dict[str, Any]]:
    try:
        differences = list(json_differences(orjson.loads(expected or b""), orjson.loads(found or b"")))
    except orjson.JSONDecodeError:
        differences = []
    return differences or [_difference("value", _text(expected), _text(found))]  # equal as JSON: then in its bytes


def _headers(expected: Headers, found: Headers) -> list[dict[str, Any]]:
    ours, theirs = dict(expected), dict(found)
    differences = [
        _difference(f"headers.{name}", *(_text(side[name]) if name in side else ABSENT for side in (ours, theirs)))
        for name in dict.fromkeys([*ours, *theirs])
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    ]
    return differences or [_difference("headers", [name for name, _ in expected], [name for name, _ in found])]


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace")


def _difference(path: str, expected: Any, found: Any) -> dict[str, Any]:
    return {"path": path, "expected": expected, "found": found}
