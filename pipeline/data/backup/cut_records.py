"""Which records of the topics belong to a consistent cut. Pure.

Of a compacted topic a backup needs what compaction would leave, as of the cut: superseded values, and keys that have
ended, stay behind. So nothing of an erased subject is copied from where the broker has not compacted yet.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CUT, ORIGIN, REKEYED_FROM, SEAL

Units = Mapping[str, Any]
"""A manifest's: by `agent/partition`, what was read (`front`) and the batch."""
Headers = Mapping[str, bytes | None]


def is_compacted(topic: str) -> bool:
    """Return whether only the last record of a key counts. topic: without prefix."""
    return topic in CATALOGUE and CATALOGUE[topic].cleanup == "compact"


def made_by_then(units: Units, topic: str, headers: Headers) -> bool:
    """Return whether the writer that a record of ours names had made it when the writer's state was taken."""
    moved = headers.get(REKEYED_FROM)
    if moved is not None and not holds_dead_letters(topic):
        source, n, offset = moved.decode().rsplit("/", 2)
        owner = CATALOGUE[source].owner if source in CATALOGUE else None
        if int(offset) >= front_of(units, f"{owner}/{n}", source):
            return False
    if holds_dead_letters(topic):
        parts = (headers.get(ORIGIN) or b"").decode().split("/")
        return len(parts) != 5 or int(parts[3]) < front_of(units, f"{parts[0]}/{parts[2]}", parts[1])
    unit, batch = batch_in(headers)
    return unit is None or batch <= (units[unit]["batch"] if unit in units else 0)


def batch_in(headers: Headers) -> tuple[str | None, int]:
    """Return the unit and the batch that a record's headers name; None and -1 where they name none."""
    cut = headers.get(CUT)
    if cut is None:
        return None, -1
    unit, _, batch = cut.decode().rpartition("/")
    return unit, int(batch)


def copy_digest(raw: Any, headers: Headers) -> bytes | None:
    """Return what copies of a record of ours have in common; None for a record that no recovery repeats."""
    if ORIGIN not in headers and REKEYED_FROM not in headers:
        return None
    return hashlib.blake2b(repr((raw.key, raw.value, raw.headers)).encode(), digest_size=16).digest()


def front_of(units: Units, unit: str, topic: str) -> int:
    """Return the first offset of a topic that a unit had not read."""
    about = units.get(unit)
    return 0 if about is None else int(about["front"].get(topic, 0))


class Compaction:
    """What one partition of a compacted topic has by key, as of the cut.

    Seals are not looked at, and a restore ignores what is not ours: of each key, the last record that its headers place
    within the cut, and whatever lies after it. owed: keys whose outputs may not have been produced; their tombstones
    are kept, as they decide whether such an output still counts.
    """

    def __init__(self, units: Units, topic: str, owed: Collection[bytes | None] = ()) -> None:
        self._units, self._topic, self._owed = units, topic, owed
        self._by_key: dict[bytes | None, list[Any]] = {}
        self._seen: set[bytes] = set()

    def add(self, records: Iterable[Any]) -> None:
        """Take in records, in their order."""
        for raw in records:
            headers = dict(raw.headers)
            by_then = True
            if SEAL in headers:
                copy = copy_digest(raw, headers)
                if copy in self._seen:
                    continue  # produced again by a recovery: what came after the first one is newer
                if copy is not None:
                    self._seen.add(copy)
                try:
                    by_then = made_by_then(self._units, self._topic, headers)
                except ValueError:
                    by_then = True  # no header of ours
            if by_then:
                self._by_key[raw.key] = [raw]
            else:
                self._by_key.setdefault(raw.key, []).append(raw)

    def left(self) -> list[Any]:
        """Return what is kept, in its order."""
        found: list[Any] = []
        for key, records in self._by_key.items():
            if len(records) > 1 or records[0].value is not None or key in self._owed:
                found += records
        return sorted(found, key=lambda raw: raw.offset)
