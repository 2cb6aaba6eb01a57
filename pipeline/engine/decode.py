"""What can be said of a record by its bytes alone."""

import json
from typing import Any

import orjson
from pydantic import ValidationError

from pipeline.topics import Topic


class Malformed(Exception):
    """The record is poison by its bytes alone: to the dead letters with it, naming what is wrong and where."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _explain(topic: Topic, error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=True, include_context=False)
    told = []
    for problem in problems[:5]:
        where = ".".join(str(part) for part in problem["loc"]) or "value"
        told.append(f"{where}: {problem['msg']}, got {_short(problem['input'])}")
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return f"{topic.name}: " + "; ".join(told) + more


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{type(value).__name__} of {len(text)} characters"


def _not_json(topic: Topic, value: bytes, error: Exception) -> Malformed:
    # NaN and Infinity are no JSON, yet the field that holds one is what a producer needs to hear of.
    try:
        topic.adapter.validate_python(json.loads(value))
    except ValidationError as invalid:
        return Malformed("invalid", _explain(topic, invalid))
    except (ValueError, RecursionError):
        pass
    return Malformed("not_json", f"{topic.name}: not JSON: {error}; expected one JSON object in UTF-8")


def decode(topic: Topic, value: bytes | None, max_bytes: int) -> Any:
    """The validated value of a record, an instance of the topic's model. Raises Malformed.

    max_bytes: a longer value is refused unread.
    """
    if value is None:
        raise Malformed("empty", f"{topic.name}: no value; expected one JSON object")
    if len(value) > max_bytes:
        raise Malformed("too_large", f"{topic.name}: {len(value)} bytes; expected at most {max_bytes}")
    try:
        loaded = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _not_json(topic, value, error) from None
    try:
        return topic.validate(loaded)
    except ValidationError as error:
        raise Malformed("invalid", _explain(topic, error)) from None
