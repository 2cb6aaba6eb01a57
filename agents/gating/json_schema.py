"""Holding values against a JSON Schema: linear-time patterns, asserted formats, bounded work (rules, section 4).

A hostile value must cost no more than a harmless one, whatever the schema asks of it: every keyword that is held
against a part of the value is a step, and after `MAX_STEPS` the value counts as undecided. Steps are counted, not
timed, so that every machine arrives at the same answer.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from endocrine.agents._shared import linear
from endocrine.agents.canonical import canonical_json
from endocrine.agents.gating.formats import FORMATS

MAX_STEPS = 50_000
"""Of one value, some ten microseconds each; an array of 2,000 objects of five described members takes as many."""
_CHARS_PER_STEP = 64
_WORK_PER_STEP = 2000
_left: ContextVar[list[int]] = ContextVar("steps left")


class _Undecided(Exception):
    """The steps are used up."""


class Schema:
    """A schema that `patterns.checked` has let pass."""

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        self._validator = _Validator(schema)

    def is_valid(self, value: Any) -> bool:
        """Return whether a JSON value fits; False where that is undecided."""
        return self._fits(value) is True

    def may_fit(self, value: Any) -> bool:
        """Return whether a JSON value fits; True where that is undecided."""
        return self._fits(value) is not False

    def _fits(self, value: Any) -> bool | None:
        token = _left.set([MAX_STEPS])
        try:
            fits: bool = self._validator.is_valid(value)
        except (_Undecided, RecursionError):
            return None
        finally:
            _left.reset(token)
        return fits


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise _Undecided


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    """A keyword that costs steps: one, and one for each entry that it lists."""

    def run(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        _spend(1 + (len(wanted) if isinstance(wanted, (list, dict)) else 0))
        return keyword(validator, wanted, value, schema)

    return run


def _found(pattern: str, text: str) -> bool:
    _spend(linear.work(pattern, text) // _WORK_PER_STEP)
    return linear.found(pattern, text)


def _pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _found(wanted, value):
        yield ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, part in wanted.items():
        for name, member in value.items():
            _spend(1)
            if _found(pattern, name):
                yield from validator.descend(member, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, member in value.items():
        _spend(1 + len(patterns))
        if name not in named and not any(_found(pattern, name) for pattern in patterns):
            yield from validator.descend(member, wanted, path=name)


def _unique_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(value, list):
        _spend(len(value))
        if len({_written(item) for item in value}) < len(value):
            yield ValidationError("has equal items")


def _written(value: Any) -> bytes:
    """The same for values that are equal as JSON, where 1 and 1.0 are one number and true is not a number."""
    try:
        return canonical_json(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return json.dumps(value, sort_keys=True).encode()


def _format(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str):
        _spend(len(value) // _CHARS_PER_STEP)
        if not FORMATS[wanted](value):
            yield ValidationError("is not of the format")


_KEYWORDS: Mapping[str, Callable[..., Any]] = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "format": _format,
}
# JSON Schema lets 5.0 pass as an integer; a handler would get a float. No coercion: it must be written as an integer.
_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={name: _counted(keyword) for name, keyword in _KEYWORDS.items()},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
