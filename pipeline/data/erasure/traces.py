"""Where a subject is named on topics: every record, its key, value and, in a changelog, its outbox. Pure.

A record names a subject by its key, by the header `ce_subject`, or by a string of its JSON that is one of the names, or
the id of a memory that was erased with it. A name within a text is content of whoever wrote the text, and is found only
as that record's.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.agents.erasing import ERASERS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of
from endocrine.pipeline.core.encryption import in_clear
from endocrine.pipeline.core.outbox import decode_outbox
from endocrine.pipeline.data.erasure.plan import registered

CHANGELOG = "changelog."


@dataclass
class Trace:
    """What one topic holds of a subject."""

    records: int = 0
    tombstones: int = 0
    """Of these, records without a value: the key is all that they hold."""
    keys: set[bytes | None] = field(default_factory=set)
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last offset by partition."""
    newest_ms: int = -1
    """Append time of the newest one, milliseconds since 1970."""
    in_clear: int = 0
    """Of these, records whose content is not encrypted."""

    def add(self, topic: str, partition: int, raw: Any) -> None:
        """Count a record."""
        self.records += 1
        self.in_clear += bool(raw.value) and in_clear(source_of(topic), raw.value)
        self.tombstones += raw.value is None
        self.keys.add(raw.key)
        first, last = self.offsets.get(partition, (raw.offset, raw.offset))
        self.offsets[partition] = min(first, raw.offset), max(last, raw.offset)
        self.newest_ms = max(self.newest_ms, raw.timestamp)


class Traces:
    """Collects them. names: of the subject. memory_ids: of memories that were erased with it."""

    def __init__(self, names: Iterable[str], memory_ids: Iterable[str] = ()) -> None:
        self.names = frozenset(names)
        self.by_topic: dict[str, Trace] = {}
        self._plain = {name.encode() for name in self.names}
        self._wanted: set[bytes] = set()
        keys = [key for name in self.names for key in registered(name)]
        for text in (*self.names, *memory_ids, *keys):
            # As we write it, and as writers do that escape what is not ASCII; then as it is in a key within a value,
            # which may be JSON itself (a pair of names).
            written = {orjson.dumps(text), json.dumps(text).encode()}
            self._wanted |= written | {orjson.dumps(one.decode())[1:-1] for one in written}

    def look(self, topic: str, partition: int, records: Iterable[Any]) -> None:
        """Take in records of one partition. topic: without prefix."""
        for raw in records:
            if self._is_named(topic, raw):
                self.by_topic.setdefault(topic, Trace()).add(topic, partition, raw)

    def memory_ids(self, records: Iterable[Any]) -> list[str]:
        """Return the memories that candidates among these are from the subject."""
        found = []
        for raw in records:
            if self._holds(raw.value or b""):
                with suppress(ValueError, TypeError):
                    named = orjson.loads(raw.value).get("memory_id")
                    found += [named] if isinstance(named, str) else []
        return found

    def _is_named(self, topic: str, raw: Any) -> bool:
        key = raw.key or b""
        if self._holds(key) or _subject_in(topic, key) in self.names or self._is_about(raw.headers):
            return True
        value = raw.value
        if not value:
            return False
        if topic.startswith(CHANGELOG) and key[:1] == b"o":
            with suppress(ValueError):
                outbox = decode_outbox(value)
                return any(
                    self._is_about(one.own)
                    or self._holds(one.value or b"")
                    or self._holds(one.key or b"")
                    or _subject_in(one.topic, one.key or b"") in self.names
                    for one in outbox.records
                )
        return self._holds(value)

    def _is_about(self, headers: Iterable[tuple[str, bytes | None]]) -> bool:
        """Whether headers name it: `ce_subject` of what was derived from a record of it, under whatever key."""
        return any(name == "ce_subject" and content in self._plain for name, content in headers)

    def _holds(self, content: bytes) -> bool:
        return any(wanted in content for wanted in self._wanted)


def _subject_in(topic: str, key: bytes) -> str | None:
    """The subject in a record's key; None where it holds none."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    if topic.startswith(CHANGELOG):
        eraser = ERASERS.get(topic.removeprefix(CHANGELOG))
        return text[1:].rsplit("/", eraser.finer)[0] if eraser is not None and text[:1] == "s" else None
    described = CATALOGUE.get(source_of(topic) if holds_dead_letters(topic) else topic)
    if described is None:
        return None
    try:
        return described.identity_in(text)
    except (ValueError, TypeError, IndexError):
        return text


def dated(
    traces: Mapping[str, Trace], configs: Mapping[str, Mapping[str, str]], now_ms: int, *, encrypted: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the receipt's part about topics: what each holds, and until when at most.

    encrypted: content is, and how much is not is counted. configs: in force on the broker, by topic without prefix. A
    segment is deleted when its newest record is past retention: a record lives up to `segment.ms` longer. Compaction
    takes what is superseded `max.compaction.lag.ms` after, and a tombstone `delete.retention.ms` later, once another
    record of the partition has rolled the segment.
    """
    found = {}
    for topic, trace in sorted(traces.items()):
        in_force = configs.get(topic, {})
        compacted = "compact" in in_force.get("cleanup.policy", "")
        bounds = ("max.compaction.lag.ms", "delete.retention.ms") if compacted else ("retention.ms", "segment.ms")
        spans = [int(in_force.get(name, _NEVER)) for name in bounds]
        never = any(span < 0 or span >= _NEVER for span in spans)
        found[topic] = {
            "records": trace.records,
            "tombstones": trace.tombstones,
            "keys": len(trace.keys),
            "offsets": {str(n): list(span) for n, span in sorted(trace.offsets.items())},
            "goes_by": "compaction" if compacted else "retention",
            **({"in_clear": trace.in_clear} if encrypted else {}),
            "until": None if never else (max(trace.newest_ms, now_ms if compacted else 0) + sum(spans)) / 1000,
        }
    return found


_NEVER = 2**63 - 1
