"""JSON Schemas that an application declares for its own functions: checked, and held against arguments.

As schemas of the policy (`patterns`), but what applications' libraries write is taken: references within the schema to
`$defs` or `definitions`, and annotations that assert nothing here (an unknown `format`, `contentEncoding`, `$schema`).
Nothing is ever fetched.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from endocrine.agents.gating.formats import FORMATS
from endocrine.agents.gating.json_schema import Schema
from endocrine.agents.gating.patterns import checked, parts

_ANNOTATIONS = ("$schema", "$comment", "contentEncoding", "contentMediaType", "contentSchema")
"""Keywords that assert nothing. `$schema` inside of a schema would have the library read it by another one's rules."""


def declared_fault(schema: Mapping[str, Any]) -> str | None:
    """Return why arguments cannot be held against a declared schema, with its place, for a person; None: they can.

    >>> declared_fault({"$ref": "https://a.example/schema"})
    "$: $ref 'https://a.example/schema' is not within the schema: expected #, #/$defs/NAME or #/definitions/NAME"
    """
    return _compiled(_text(schema))[1]


def fits_declared(schema: Mapping[str, Any], arguments: Any) -> bool:
    """Return whether arguments fit a declared schema; False where that is undecided, or the schema has a fault."""
    compiled = _compiled(_text(schema))[0]
    return compiled is not None and compiled.is_valid(arguments)


def schema_digest(schema: Mapping[str, Any]) -> str:
    """Return a short digest of a schema, to tell whether two are the same."""
    return hashlib.blake2b(_text(schema).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


@lru_cache(maxsize=512)
def _compiled(text: str) -> tuple[Schema | None, str | None]:
    """The validator of a schema, or why it has no validator."""
    schema = json.loads(text)
    try:
        checked(schema, local_references=True, ignored=(*_ANNOTATIONS, "format"))
        # An embedded identity would move what references are relative to; a root's own is about nothing here.
        schema.pop("$id", None)
        found: list[tuple[str, Any]] = list(parts(schema))
        for place, part in found:
            _check_references(place, part, schema)
            for name in _ANNOTATIONS:
                part.pop(name, None)
            if part.get("format", "date") not in FORMATS:
                del part["format"]
    except ValueError as error:
        return None, str(error)
    return Schema(schema), None


def _check_references(place: str, part: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    for name in ("$id", "$anchor"):
        if name in part:
            raise ValueError(f"{place}: {name} is not supported inside of a schema: refer to #/$defs/NAME")
    reference = part.get("$ref", "#")
    if not isinstance(reference, str):
        raise ValueError(f"{place}: $ref is not a text, expected #, #/$defs/NAME or #/definitions/NAME")
    if reference == "#":
        return
    home, _, name = reference.removeprefix("#/").partition("/")
    if not reference.startswith(("#/$defs/", "#/definitions/")) or not name or set(name) & set("/~%"):
        raise ValueError(
            f"{place}: $ref {reference[:80]!r} is not within the schema: expected #, #/$defs/NAME or #/definitions/NAME"
        )
    if name not in schema.get(home, {}):
        raise ValueError(f"{place}: $ref {reference[:80]!r} names nothing: #/{home} has no such entry")
