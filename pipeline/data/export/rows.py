"""A record as a row: nothing of it is lost, whatever it holds."""

from typing import Any

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.core.records import CE_ID, SourceRecord
from endocrine.pipeline.data.export.columns import OTHER, PREFIX, Kind, fields_of

_LARGEST = 2**63
Row = dict[str, Any]


class Rows:
    """Makes the rows of one topic (without prefix)."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._fields = fields_of(topic)
        self._dead = holds_dead_letters(topic)
        self._identity = CATALOGUE[source_of(topic)].identity_field

    def row(self, raw: SourceRecord) -> Row:
        """Return the record's row; columns that do not apply are missing from it.

        A field the schema does not know, or of another type, lies in `value_other`. A value that is no JSON object, and
        every dead letter's, lies in `raw`, as text or hexadecimal; `none` as encoding is a tombstone.
        """
        value = None if self._dead else _object(raw.value)
        row: Row = {
            "topic": self.topic,
            "partition": raw.partition,
            "offset": raw.offset,
            "append_time": raw.timestamp,
            "key": _shown(raw.key),
            "id": self._id(raw, value),
            "headers": {name: _shown(content) for name, content in raw.headers},
        }
        if value is None:
            row["raw"], row["raw_encoding"] = (None, "none") if raw.value is None else _text(raw.value)
            return row
        other = {}
        for name, content in value.items():
            kind = self._fields.get(name)
            if kind is not None and _fits(kind, content):
                row[PREFIX + name] = float(content) if kind == "float" and content is not None else content
            else:
                other[name] = content
        if other:
            row[OTHER] = other
        return row

    def identity(self, raw: SourceRecord) -> str | None:
        """Return whom a record is about: by its value, else by its key."""
        value = _object(raw.value)
        named = value.get(self._identity) if value else None
        if isinstance(named, str):
            return named
        return _shown(raw.key)

    def _id(self, raw: SourceRecord, value: dict[str, Any] | None) -> str:
        named = value.get("id") if value else None
        if isinstance(named, str):
            return named
        ce_id = _shown(dict(raw.headers).get(CE_ID))
        return f"{self.topic}/{raw.partition}/{raw.offset}" if ce_id is None else ce_id


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        read = None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return read if isinstance(read, dict) else None


def _text(content: bytes) -> tuple[str, str]:
    try:
        return content.decode(), "text"
    except UnicodeDecodeError:
        return content.hex(), "hex"


def _shown(content: bytes | None) -> str | None:
    return None if content is None else _text(content)[0]


def _fits(kind: Kind, content: Any) -> bool:
    if content is None or kind == "json":
        return True
    if kind == "text":
        return isinstance(content, str)
    if kind == "bool":
        return isinstance(content, bool)
    if isinstance(content, bool):
        return False
    if kind == "int":
        return isinstance(content, int) and -_LARGEST <= content < _LARGEST
    # An integer that a float does not hold exactly is kept as it is.
    return isinstance(content, float) or (isinstance(content, int) and abs(content) <= 2**53)
