"""Whose records a backup leaves out: those of subjects that were erased, up to their erasure. Pure.

Receipts of erasures lie on `ops-events`, longer than any content; they name nobody, and hold a digest of each name. A
record is a subject's by its key, by the header `ce_subject`, or by a field that names whose it is; by the id of a
memory that was from the subject alone; or as a command or an answer of the erasure itself. What comes after a receipt
is a new life of the name, and is copied.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters, source_of

RECEIPTS = "ops-events"
_WHOSE = ("identity", "subject", "identity_ref", "turn_identity", "user_id", "a", "b", "of", "memory_id")
"""Fields that hold an identity, or the id of a memory, whatever the topic."""
_MOST = 100_000


def name_digest(name: str) -> str:
    """Return what a receipt has of a name, or of a memory's id. Case counts, other than in claims: another case may be
    another person's.

    >>> len(name_digest("ann")), name_digest("ann") == name_digest("Ann")
    (64, False)
    """
    return hashlib.sha256(canonical_json(["erased", name])).hexdigest()


class ErasedNames:
    """Which subjects were erased, and until when their records are left out."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        """By digest of a name: when it was erased last, milliseconds since 1970."""
        self._digests: dict[str, str] = {}

    def learn(self, receipts: Iterable[Any]) -> None:
        """Take in records of `ops-events`; what is no receipt is passed over."""
        for raw in receipts:
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                event = orjson.loads(raw.value)
                if event["kind"] == "erasure" and event["outcome"] == "done":
                    # After a restore the append time is the restore's: what came between would be taken for erased.
                    until = min(raw.timestamp, round(event["ts"] * 1000))
                    report = event["report"]
                    for digest in (report["erasure_id"], *report["names"], *report["memories"]):
                        self._until[digest] = max(until, self._until.get(digest, -1))

    def __len__(self) -> int:
        return len(self._until)

    def without(self, topic: str, records: Collection[Any], read_by_all: int) -> list[Any]:
        """Return those of a partition's records that are kept. read_by_all: offset up to which every agent has read:
        what lies behind it would be lost to who is to read it.

        Chained topics are kept whole, as their chain could not be verified otherwise.
        """
        described = CATALOGUE.get(source_of(topic) if holds_dead_letters(topic) else topic)
        if not self._until or (described is not None and described.chained):
            return list(records)
        return [raw for raw in records if raw.offset >= read_by_all or not self._is_about(described, raw)]

    def _is_about(self, described: Topic | None, raw: Any) -> bool:
        value = _object(raw)
        digests = [self._digest(name) for name in (*_names(described, raw), *_in_fields(value))]
        digests += [value["erasure_id"]] if isinstance(value.get("erasure_id"), str) else []
        return any(raw.timestamp <= self._until.get(digest, -1) for digest in digests)

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            if len(self._digests) >= _MOST:
                self._digests.clear()
            self._digests[name] = name_digest(name)
        return self._digests[name]


def _names(described: Topic | None, raw: Any) -> Iterator[str]:
    """Names in the key and the headers of a record."""
    if raw.key:
        key = raw.key.decode("utf-8", "replace")
        yield key
        if described is not None:
            with suppress(ValueError, TypeError, IndexError):
                yield described.identity_in(key)
    for name, content in raw.headers:
        if name == "ce_subject" and content:
            yield content.decode("utf-8", "replace")


def _object(raw: Any) -> dict[str, Any]:
    with suppress(ValueError):
        value = orjson.loads(raw.value or b"null")
        if isinstance(value, dict):
            return value
    return {}


def _in_fields(value: Mapping[str, Any]) -> Iterator[str]:
    for field in _WHOSE:
        if isinstance(name := value.get(field), str):
            yield name
    source = value.get("source")
    identities = source.get("identities") if isinstance(source, dict) else None
    if isinstance(identities, list) and len(identities) == 1:  # what is from several stays
        yield str(identities[0])
