"""The beginning of a file as far as it can be understood, for recognising whose file it is."""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic_core import from_json

from endocrine.pipeline.data.ingest.rewound import BOM
from endocrine.pipeline.data.ingest.tolerant import read_line

HEAD_BYTES = 1 << 17
"""Bytes at the beginning of a file by which it is recognised."""
MAX_ROWS = 50
"""Lines looked at."""
MAX_ITEMS = 5
"""Objects of an array looked at."""
_SURROGATE_ESCAPES = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the beginning of a file shows. `first` and `items` are of the one JSON value, `rows` of JSON lines."""

    head: bytes
    text: str
    first: dict[str, Any] = field(default_factory=dict)
    """The object the file holds, or the first of its array; empty where there is no object."""
    items: list[dict[str, Any]] = field(default_factory=list)
    """The first objects of the array; empty where the file holds an object."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Objects of the first lines; one where the file is an object on a single line."""

    def has(self, *keys: str) -> bool:
        """Return whether the first object has all the keys."""
        return self.first.keys() >= set(keys)

    def any_row(self, *keys: str) -> bool:
        """Return whether some line's object has all the keys."""
        return any(row.keys() >= set(keys) for row in self.rows)

    def row_types(self) -> set[str]:
        """Return the values of `type` in the lines."""
        return {row["type"] for row in self.rows if isinstance(row.get("type"), str)}


def take_sample(head: bytes) -> Sample:
    """Parse the beginning of a file; a value that is cut off counts as far as it goes."""
    head = head.removeprefix(BOM)
    text = head.decode("utf-8", "replace")
    clean = _SURROGATE_ESCAPES.sub(rb"\\ufffd", head.replace(b"\0", b"")).strip()
    if clean[:1] not in (b"{", b"["):
        return Sample(head, text, rows=_rows(head))
    rows = _rows(head)
    value: Any = rows[0] if rows else None
    lines = [line for line in clean.splitlines() if line.strip()]
    if len(lines) == 1 or not rows:
        try:
            value = from_json(clean, allow_partial=True)
        except ValueError:
            value = value or {}
    if isinstance(value, list):
        items = [item for item in value[:MAX_ITEMS] if isinstance(item, dict)]
        return Sample(head, text, items[0] if items else {}, items, rows)
    return Sample(head, text, value if isinstance(value, dict) else {}, [], rows)


def _rows(head: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    lines = head.split(b"\n")
    for line in lines[:MAX_ROWS]:
        if line.strip(b" \t\r\0")[:1] != b"{":
            continue
        try:
            values = [orjson.loads(line)]
        except orjson.JSONDecodeError:
            values = read_line(line).values
        rows += [value for value in values if isinstance(value, dict)]
    return rows
