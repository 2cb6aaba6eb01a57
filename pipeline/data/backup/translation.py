"""What a backup becomes under a new prefix, where offsets begin anew. Pure but for reading the backup's own files.

- What a unit wrote after its state was taken is left out: it makes it again. So are copies. Of compacted topics the
  last record of a key is kept.
- A record's new offset is the number of records kept before it on its partition; next offsets and the headers that name
  offsets are translated so. A header that names a record which is not restored is removed: under an old, large offset
  readers would take what comes later for copies.
- What was done about a dead letter names the place that this has now, or none.
- No watermark is needed: the cut is consistent, so no unit makes anything again that another has applied.
- What carried a valid seal under the old prefix is sealed again under the new one; what did not stays unsealed.
- `journal` and `checkpoints` stay in the backup: they name offsets of the old topics.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import orjson

from endocrine.pipeline.core.records import CE_ID, ORIGIN, REKEYED_FROM, SEAL, Fetched, Header, OutputRecord
from endocrine.pipeline.core.seals import KeyedSeals, covered_topic
from endocrine.pipeline.data.backup.bundle import read_records
from endocrine.pipeline.data.backup.cut_records import batch_in, copy_digest, is_compacted, made_by_then
from endocrine.pipeline.replay.state_files import read_states

NOT_RESTORED = frozenset(("journal", "checkpoints"))
_ACTIONS = "dlq-actions"
"""Its records name dead letters by their place."""
_NOWHERE = 2**53 - 1
"""An offset that no record has: of a dead letter that is not restored."""
Place = tuple[str, int]


class Unit(NamedTuple):
    """The state of one agent on one partition, as it is restored."""

    name: str
    """`agent/partition`."""
    batch: int
    policy: str | None
    """Digest of the policy of that batch."""
    next_offsets: dict[str, int]
    states: Sequence[tuple[str, bytes]]


class Moved(NamedTuple):
    """Where a record is written, and as what."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class UnknownKeys(Exception):
    """The backup holds seals under keys that are not at hand. The message says what to do."""


class Translation:
    """The records of a backup under a new prefix. old, new: seals under the old and the new prefix.

    Raises UnknownKeys. `records` gives what is written; `next_offsets` what checkpoints and groups start from.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], old: KeyedSeals, new: KeyedSeals) -> None:
        self._folder, self._manifest, self._old, self._new = folder, manifest, old, new
        self._units: Mapping[str, Any] = manifest["units"]
        self._kept: dict[Place, array[int]] = {}
        """Old offsets of the records kept, ascending: the index is the new offset."""
        self._owed: dict[Place, list[Fetched]] = {}
        self._ids: dict[Place, set[bytes]] = {}
        self.unknown = 0
        owed = self._read_owed()
        for name, about in manifest["topics"].items():
            topic, _, n = name.rpartition("/")
            if topic not in NOT_RESTORED:
                self._choose((topic, int(n)), about["file"], owed.get((topic, int(n)), []))
        if self.unknown:
            raise UnknownKeys(
                f"{self.unknown} records are sealed under keys that the seal key file does not have; give the file of "
                "the deployment that was backed up (ENDOCRINE_SEAL_KEY_FILE), rotated keys included"
            )

    @property
    def places(self) -> list[Place]:
        """Topics and partitions that are restored."""
        return list(self._kept)

    def count(self, place: Place) -> int:
        """Return how many records of a partition are restored."""
        return len(self._kept[place]) + len(self._owed.get(place, ()))

    def units(self) -> Iterator[Unit]:
        """Yield the units that have made a batch."""
        for name, about in self._units.items():
            states = list(read_states(self._folder, about))
            yield Unit(name, about["batch"], about["policy"], self.next_offsets(name), states)

    def group_offsets(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        """Return the new committed offsets of a group of consumers for its old ones."""
        return {(topic, n): self.next_offset(topic, n, offset) for (topic, n), offset in offsets.items()}

    def streams(self) -> Iterator[tuple[str, Iterator[Fetched]]]:
        """Yield all records that are written, those of a topic partition by partition; offsets and partitions are
        new."""
        for place in self._kept:
            yield place[0], self.records(place)

    def next_offset(self, topic: str, partition: int, offset: int) -> int:
        """Return the new next offset for an old one."""
        return bisect_left(self._kept.get((topic, partition), array("q")), offset)

    def next_offsets(self, unit: str) -> dict[str, int]:
        """Return the new next offsets of a unit."""
        n = int(unit.rpartition("/")[2])
        return {topic: self.next_offset(topic, n, offset) for topic, offset in self._units[unit]["front"].items()}

    def records(self, place: Place) -> Iterator[Fetched]:
        """Yield the records of a partition of the backup as they are written, in order; offsets are new."""
        for index, raw in enumerate(self._chosen(place)):
            yield self._written(place[0], raw, index)

    def _chosen(self, place: Place) -> Iterator[Fetched]:
        """What is written of a partition, as it was."""
        topic, n = place
        kept, at = self._kept[place], 0
        for raw in read_records(self._folder, self._manifest["topics"][f"{topic}/{n}"]["file"], n):
            if at < len(kept) and raw.offset == kept[at]:
                yield raw
                at += 1
        yield from self._owed.get(place, ())

    # ---- what is kept ----

    def _choose(self, place: Place, file: str, owed: list[tuple[int, Fetched]]) -> None:
        topic, n = place
        kept, seen, ids = array("q"), set[bytes](), set[bytes]()
        last: dict[bytes | None, tuple[int, int, bool]] = {}
        """Of a compacted topic, by key: offset and batch of its last record, and whether it is a tombstone."""
        for raw in read_records(self._folder, file, n):
            headers = dict(raw.headers)
            batch = -1
            if self._ours(topic, raw, headers):
                if not made_by_then(self._units, topic, headers):
                    continue
                copy = copy_digest(raw, headers)
                if copy in seen:
                    continue
                if copy is not None:
                    seen.add(copy)
                ids.add(headers.get(CE_ID) or b"")
                batch = batch_in(headers)[1]
            if is_compacted(topic):
                last[raw.key] = raw.offset, batch, raw.value is None
            else:
                kept.append(raw.offset)
        if is_compacted(topic):
            for number, out in owed:  # a later value of the key may have compacted it away
                if (before := last.get(out.key)) is None or before[1] < number:
                    self._owed.setdefault(place, [])[:] = [
                        other for other in self._owed.get(place, []) if other.key != out.key
                    ]
                    last.pop(out.key, None)
                    if out.value is not None:
                        self._owed[place].append(out)
            kept.extend(sorted(offset for offset, _, gone in last.values() if not gone))
        else:
            self._owed[place] = [out for _, out in owed if (dict(out.headers).get(CE_ID) or b"") not in ids]
        self._kept[place] = kept

    def _ours(self, topic: str, raw: Fetched, headers: Mapping[str, bytes | None]) -> bool:
        if SEAL not in headers:
            return False
        if self._old.valid(topic, raw, headers):
            return True
        self.unknown += not self._old.knows(headers[SEAL])
        return False

    def _read_owed(self) -> dict[Place, list[tuple[int, Fetched]]]:
        found: dict[Place, list[tuple[int, Fetched]]] = {}
        unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
        unpacker.feed((self._folder / self._manifest["owed"]["file"]).read_bytes())
        for _, batch, common, records in unpacker:
            for out in (OutputRecord(*one) for one in records):
                if out.topic not in NOT_RESTORED:
                    headers = (*out.own, *common) if out.derived else tuple(out.own)
                    raw = Fetched(out.partition, -1, -1, out.key, out.value, headers)
                    found.setdefault((out.topic, out.partition), []).append((batch, raw))
        return found

    # ---- what is written ----

    def _moved(self, topic: str, raw: Fetched, index: int, ours: bool) -> Moved:
        """Where a record goes, and as what. index: among those of its partition that are written."""
        return Moved(raw.partition, index, *self._content(topic, raw))

    def _content(self, topic: str, raw: Fetched) -> tuple[bytes | None, bytes | None]:
        """Key and value; of what was done about a dead letter, with the places that it and its origin have now."""
        if topic != _ACTIONS or raw.value is None:
            return raw.key, raw.value
        try:
            content = orjson.loads(raw.value)
            letters = content["topic"]
            # A copy is not restored: its origin finds the letter. The old offset would be another letter's.
            place = self._place_of(letters, content["partition"], content["offset"])
            partition, offset = place or (content["partition"], _NOWHERE)
            origin = content["origin"]
            if origin is not None:
                source, n, at = origin.rsplit("/", 2)
                moved = self._place_of(source, int(n), int(at))
                origin = None if moved is None else f"{source}/{moved[0]}/{moved[1]}"
        except (ValueError, KeyError, TypeError, AttributeError):  # not ours: the topic takes what it is given
            return raw.key, raw.value
        content |= {"partition": partition, "offset": offset, "origin": origin}
        return f"{letters}/{partition}/{offset}".encode(), orjson.dumps(content)

    def _written(self, topic: str, raw: Fetched, index: int) -> Fetched:
        headers = dict(raw.headers)
        ours = SEAL in headers and self._old.valid(topic, raw, headers)
        partition, offset, key, value = self._moved(topic, raw, index, ours)
        if not ours:
            return Fetched(partition, offset, -1, key, value, raw.headers)
        own: list[Header] = []
        for name, content in raw.headers:
            if name in (ORIGIN, REKEYED_FROM) and content is not None:
                content = self._renamed(content, 2 if name == ORIGIN else 1)
                if content is None:
                    continue
            own.append((name, content))
        now = dict(own)
        seal = self._new.seal(
            covered_topic(topic, now), partition, key, value,
            now.get(CE_ID), now.get(ORIGIN), now.get(REKEYED_FROM),
        )  # fmt: skip
        sealed = tuple((name, seal if name == SEAL else content) for name, content in own)
        return Fetched(partition, offset, -1, key, value, sealed)

    def _renamed(self, content: bytes, after: int) -> bytes | None:
        """The same place under the new prefix; None where it is not restored. after: 2 for an origin, whose ordinal
        follows the offset, else 1."""
        parts = content.decode().split("/")
        at = len(parts) - after
        found = self._place_of(parts[at - 2], int(parts[at - 1]), int(parts[at]))
        if found is None:
            return None
        parts[at - 1], parts[at] = map(str, found)
        return "/".join(parts).encode()

    def _place_of(self, topic: str, partition: int, offset: int) -> tuple[int, int] | None:
        """The new partition and offset of a record; None where it is not restored."""
        found = self._index_of(topic, partition, offset)
        return None if found is None else (partition, found)

    def _index_of(self, topic: str, partition: int, offset: int) -> int | None:
        """The place of a record among those of its partition that are kept."""
        kept = self._kept.get((topic, partition), array("q"))
        found = bisect_left(kept, offset)
        return None if found == len(kept) or kept[found] != offset else found
