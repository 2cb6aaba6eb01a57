"""What is judged of a record by its bytes alone."""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.pipeline.core.catalogue import Topic

_loads = orjson.loads
_SHOWN = 5
"""Problems named of one record."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""A name that may be shown: an unknown field's. Everything else that a producer chose may be content."""
_UNION = re.compile(r"(str|int|float|bool|dict\[str,any\]|list\[(str|int|float|any)\])")
"""A step that pydantic itself puts into a path: the member of a union that was tried."""
_ECHOING = frozenset(("union_tag_invalid", "value_error", "assertion_error", "json_invalid", "string_unicode"))
"""Kinds of pydantic's problems whose messages repeat what was given."""
_ENVELOPE = frozenset(("specversion", "type", "source"))
"""Fields of a CloudEvent that is the value itself (structured mode)."""


class Malformed(Exception):
    """The record is poison by its bytes alone: to the dead letters with it, naming what is wrong and where.

    The message names topic, field, kind of value and length, never the record's content.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def decode(topic: Topic, value: bytes | None, max_bytes: int) -> Any:
    """Return the validated value of a record, an instance of the topic's model. Raises Malformed.

    max_bytes: a longer value is refused unread.
    """
    if value is None:
        raise Malformed("empty", f"{topic.name}: no value; expected one JSON object")
    if len(value) > max_bytes:
        raise Malformed("too_large", f"{topic.name}: {len(value)} bytes; expected at most {max_bytes}")
    try:
        loaded = _loads(value)
    except orjson.JSONDecodeError as error:
        raise _not_json(topic, value, error) from None
    if (certain := topic.certain) is not None and (valid := certain(loaded)) is not None:
        return valid
    try:
        return topic.validate(loaded)
    except ValidationError as error:
        if type(loaded) is dict and loaded.keys() >= _ENVELOPE:
            raise Malformed(
                "structured_cloudevent",
                f"{topic.name}: the value is a CloudEvent in structured mode, which is not read; send its `data` as "
                "the value, and its attributes as headers ce_id, ce_source, ce_type, ... (binary mode)",
            ) from None
        raise Malformed("invalid", _explain(topic, error)) from None


def _not_json(topic: Topic, value: bytes, error: orjson.JSONDecodeError) -> Malformed:
    # NaN and Infinity are no JSON, yet the field that holds one is what a producer needs to hear of.
    try:
        topic.adapter.validate_python(json.loads(value))
    except ValidationError as invalid:
        return Malformed("invalid", _explain(topic, invalid))
    except (ValueError, RecursionError):
        pass
    return Malformed(
        "not_json",
        f"{topic.name}: not JSON at line {error.lineno}, column {error.colno}; expected one JSON object in UTF-8",
    )


def _explain(topic: Topic, error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=True, include_context=True)
    described = [_problem(problem) for problem in problems[:_SHOWN]]
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f"{topic.name}: " + "; ".join(described) + more


def _problem(problem: Mapping[str, Any]) -> str:
    """One problem: the field, what was expected, the kind and length of what was given."""
    kind, place, given = problem["type"], problem["loc"], problem["input"]
    where = ".".join(_part(part, last=n == len(place) - 1, kind=kind) for n, part in enumerate(place)) or "value"
    if kind not in _ECHOING:
        wrong = problem["msg"]
    elif kind == "union_tag_invalid":
        wrong = f"expected {problem['ctx']['discriminator']} to be one of {problem['ctx']['expected_tags']}"
    else:
        wrong = "not a valid value"
    return f"{where}: {wrong}, got {_kind(given)}"


def _part(part: int | str, *, last: bool, kind: str) -> str:
    """A step of a path. Keys of objects of free shape were chosen by the producer, and may be content."""
    if isinstance(part, int):
        return str(part)
    if part in _OURS or _UNION.fullmatch(part) or (last and kind == "extra_forbidden" and _PLAIN.fullmatch(part)):
        return part
    return f"[name of {len(part)} characters]"


def _kind(value: Any) -> str:
    """The JSON kind of a value, and its length where it has one.

    >>> _kind("secret"), _kind([1, 2]), _kind(True), _kind(None), _kind(10**30)
    ('a string of 6 characters', 'a list of 2', 'true or false', 'null', 'a number')
    """
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return "true or false"
    return "null" if value is None else "a number" if isinstance(value, int | float) else type(value).__name__


def _field_names() -> frozenset[str]:
    """Every name that our own models give: fields, and the tags of unions."""
    from endocrine.pipeline.core.catalogue import CATALOGUE

    names: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            names.update(schema.get("properties", {}))
            if isinstance(schema.get("const"), str):
                names.add(schema["const"])
            for part in schema.values():
                walk(part)
        elif isinstance(schema, list):
            for part in schema:
                walk(part)

    for topic in CATALOGUE.values():
        walk(topic.adapter.json_schema())
    return frozenset(names)


class _Names:
    """Those names, collected when the first one is asked for."""

    def __init__(self) -> None:
        self._names: frozenset[str] | None = None

    def __contains__(self, name: str) -> bool:
        if self._names is None:
            self._names = _field_names()
        return name in self._names


_OURS = _Names()
