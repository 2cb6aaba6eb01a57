"""One partition's records for replay, by offset: in memory, or in a file where there are many.

Offsets need not begin at 0 (retention took what was before) nor follow each other (compaction took what was between, or
a transaction left a marker or was aborted).
"""

import os
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, overload

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.replay.serialized import packed, unpacked

CHUNK = 150
"""Records read from a file at once where all are read in turn."""


_HEAD = struct.Struct("<iqqI")
"""Before each record in a file: partition, offset, timestamp, and its number of headers."""
SerializedRecord = tuple[int, bytes]
"""A record's offset and its serialized form."""


def _serialized(raw: Any) -> SerializedRecord:
    return raw.offset, packed(raw.key, raw.value, [*map(tuple, raw.headers)])


class MissingRecords(Exception):
    """Records that were on a partition are no longer there. The message names their offsets and their number."""


class RecordLog(Sequence[Any]):
    """The records of one partition in offset order; places count from 0, whatever the offsets are."""

    def __init__(self, begin: int | None = None) -> None:
        """begin: the partition's beginning by the broker; without it, that is the first record."""
        self._begin = begin
        self._jumps: list[tuple[int, int]] = []
        """(offset, place) of the first record, and of each whose offset does not follow the one before it."""
        self.end = 0
        """The offset after the last record."""

    def _note(self, offset: int, place: int) -> None:
        if place == 0 or offset != self.end:
            if place and offset < self.end:
                raise ValueError(f"offset {offset} comes after {self.end - 1}; expected a log in offset order")
            self._jumps.append((offset, place))
        self.end = offset + 1

    @property
    def start(self) -> int:
        """Where the partition begins: below it, retention has taken what there was."""
        if self._begin is not None:
            return self._begin
        return self._jumps[0][0] if self._jumps else 0

    @property
    def whole(self) -> bool:
        """Begins at offset 0 and has no holes."""
        return not self._jumps or (len(self._jumps) == 1 and self._jumps[0][0] == 0)

    def place(self, offset: int) -> int:
        """Return the place of the first record at this offset or above; the length when there is no such record."""
        found = bisect_right(self._jumps, (offset, len(self))) - 1
        if found < 0:
            return 0
        first, place = self._jumps[found]
        last = self._jumps[found + 1][1] if found + 1 < len(self._jumps) else len(self)
        return min(place + offset - first, last)

    def serialized_records(self) -> Iterator[SerializedRecord]:
        """Yield offset and serialized form of each record that has headers."""
        for raw in self:
            if raw.headers:
                yield _serialized(raw)

    def between(self, first: int, last: int) -> Sequence[SerializedRecord]:
        """Return offset and serialized form of the records at places `first` to `last` (exclusive), as far as there are
        some."""
        return [_serialized(raw) for raw in self[first:last]]

    def at(self, offset: int) -> Any:
        """Return the record at this offset. Raises MissingRecords."""
        return self.run(offset, 1)[0]

    def run(self, first: int, count: int) -> Sequence[Any]:
        """Return `count` records with offsets from `first` on. Raises MissingRecords when one of them is not there."""
        begin = self.place(first)
        found = self[begin : begin + count]
        if len(found) == count and found[0].offset == first and found[-1].offset == first + count - 1:
            return found
        raise self.gone(first, count)

    def gone(self, first: int, count: int) -> MissingRecords:
        """Return what to raise where not all of `count` records from `first` on are there."""
        begin = self.place(first)
        there = [raw.offset for raw in self[begin : begin + count] if raw.offset < first + count]
        range_text = f"offsets {first} to {first + count - 1}: {count - len(there)} of {count} are gone"
        if first < self.start:
            return MissingRecords(f"{range_text} by retention (it begins at {self.start} now)")
        if first + count > self.end:
            return MissingRecords(f"{range_text} (it ends at {self.end})")
        return MissingRecords(f"{range_text} (compaction took them, or no transaction committed them)")


class MemoryLog(RecordLog):
    """Records in a list."""

    def __init__(self, records: Iterable[Any] = (), *, begin: int | None = None) -> None:
        super().__init__(begin)
        self._records: list[Any] = []
        self.extend(records)

    def extend(self, records: Iterable[Any]) -> None:
        """Append records, in offset order."""
        for raw in records:
            self._note(raw.offset, len(self._records))
            self._records.append(raw)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._records[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._records)


class FileLog(RecordLog):
    """The records of one partition in a file; only their places in it are in memory (8 bytes a record)."""

    def __init__(self, path: Path, *, begin: int | None = None) -> None:
        super().__init__(begin)
        self._file: BinaryIO = path.open("w+b")
        self._places = array("Q")
        self._size = 0
        self._written = True

    def extend(self, records: Iterable[Any]) -> None:
        """Append records, in offset order."""
        parts: list[bytes] = []
        for raw in records:
            headers = [*map(tuple, raw.headers)]
            head = _HEAD.pack(raw.partition, raw.offset, raw.timestamp, len(headers))
            parts += (head, packed(raw.key, raw.value, headers))
            self._note(raw.offset, len(self._places))
            self._places.append(self._size)
            self._size += len(head) + len(parts[-1])
        self._file.write(b"".join(parts))
        self._written = False

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Fetched: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fetched]: ...
    def __getitem__(self, index: int | slice) -> Fetched | Sequence[Fetched]:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"a step of {step} in a slice of a log; expected 1")
            return self._read(first, max(first, last))
        place = index + len(self) if index < 0 else index
        return self._read(place, place + 1)[0]

    def __iter__(self) -> Iterator[Fetched]:
        for first in range(0, len(self), CHUNK):
            yield from self._read(first, min(first + CHUNK, len(self)))

    def between(self, first: int, last: int) -> Sequence[SerializedRecord]:
        """See Log: without a look into them."""
        last = min(last, len(self))
        if first >= last:
            return []
        size, head = _HEAD.size, _HEAD.unpack_from
        data, bounds = self._bytes(first, last)
        return [(head(data, begin)[1], data[begin + size : end]) for begin, end in pairwise(bounds)]

    def serialized_records(self) -> Iterator[SerializedRecord]:
        """See Log: without a look into them."""
        size, head = _HEAD.size, _HEAD.unpack_from
        for first in range(0, len(self), CHUNK):
            data, bounds = self._bytes(first, min(first + CHUNK, len(self)))
            for begin, end in pairwise(bounds):
                _, offset, _, headers = head(data, begin)
                if headers:
                    yield offset, data[begin + size : end]

    def _read(self, first: int, last: int) -> list[Fetched]:
        if not 0 <= first < last <= len(self):
            if first == last:
                return []
            raise IndexError(f"records {first} to {last} of a log of {len(self)}")
        size, head, new = _HEAD.size, _HEAD.unpack_from, tuple.__new__
        records = []
        for some in range(first, last, CHUNK):
            data, bounds = self._bytes(some, min(some + CHUNK, last))
            for begin, end in pairwise(bounds):
                partition, offset, timestamp, _ = head(data, begin)
                records.append(new(Fetched, (partition, offset, timestamp, *unpacked(data[begin + size : end]))))
        return records

    def _bytes(self, first: int, last: int) -> tuple[bytes, list[int]]:
        """These records as they are in the file, and where each begins, with the end of the last one."""
        places = self._places[first : last + 1].tolist()
        if last == len(self):
            places.append(self._size)
        if not self._written:
            self._file.flush()
            self._written = True
        begin = places[0]
        return os.pread(self._file.fileno(), places[-1] - begin, begin), [place - begin for place in places]


def first_after(times: Sequence[int], moment: int | None) -> int:
    """Return the number of these ascending times that are not after the moment; all without one."""
    return len(times) if moment is None else bisect_right(times, moment)


def first_from(times: Sequence[int], moment: int | None) -> int:
    """Return the number of these ascending times before the moment; 0 without one."""
    return 0 if moment is None else bisect_left(times, moment)
