"""What stands on the topics, by who wrote it: one lane per (unit, topic, partition), in offset order.

A unit says its records in the order in which it made them, so its lane is read once beside it, and neither has to be in
memory. A lane entry is a record's offset, its batch, and a digest of its key, value and headers; its name is looked up
in the log only where that digest is not the one expected next.
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import msgpack

from pipeline.replay.difference import Form

_ENTRY = struct.Struct("<qq16s")
_CHUNK_BYTES = 32 << 9
RECENT = 20_000
"""Digests kept of what was said last on a lane: copies come from a successor that says its predecessor's last batch
again. A copy that comes later than that is found out at the lane's end, by reading it once more."""
NO_BATCH = -1
"""The batch of dead letters and re-keyed records, which name none."""
Place = tuple[str, str, int]
"""Unit, topic, partition."""
_pack = msgpack.Packer().pack


class Entry(NamedTuple):
    """One record on a lane."""

    offset: int
    batch: int
    digest: bytes


def digest_of(form: Form) -> bytes:
    """16 bytes that stand for a record's key, value and headers."""
    return hashlib.blake2b(_pack(form), digest_size=16).digest()


class Index:
    """All lanes, in one file (or in memory, for io.BytesIO)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffers: dict[Place, bytearray] = {}
        self._chunks: dict[Place, list[tuple[int, int]]] = {}
        self._size = 0

    def add(self, place: Place, offset: int, batch: int, digest: bytes) -> None:
        """Append an entry to a lane."""
        buffer = self._buffers.get(place)
        if buffer is None:
            buffer = self._buffers[place] = bytearray()
            self._chunks[place] = []
        buffer += _ENTRY.pack(offset, batch, digest)
        if len(buffer) >= _CHUNK_BYTES:
            self._write(place, buffer)

    def close(self) -> None:
        """Nothing more is added."""
        for place, buffer in self._buffers.items():
            self._write(place, buffer)
        self._buffers.clear()

    def _write(self, place: Place, buffer: bytearray) -> None:
        if buffer:
            self._file.seek(self._size)
            self._file.write(buffer)
            self._chunks[place].append((self._size, len(buffer)))
            self._size += len(buffer)
            buffer.clear()

    def of(self, unit: str) -> list[tuple[str, int]]:
        """Topics and partitions on which a unit has written."""
        return [(topic, partition) for name, topic, partition in self._chunks if name == unit]

    def read(self, place: Place) -> Iterator[Entry]:
        """A lane from its beginning."""
        make = Entry._make
        for begin, size in self._chunks.get(place, ()):
            self._file.seek(begin)
            for fields in _ENTRY.iter_unpack(self._file.read(size)):
                yield make(fields)


class Lane:
    """Reads a lane beside the unit that wrote it.

    name_at: the name of the record at an offset. on_copy: told (first offset, offset, whether they are equal).
    """

    def __init__(
        self, index: Index, place: Place, name_at: Callable[[int], str], on_copy: Callable[[int, int, bool], None]
    ) -> None:
        self._index, self._place, self._name_at, self._on_copy = index, place, name_at, on_copy
        self._entries = index.read(place)
        self._next: Entry | None = next(self._entries, None)
        self._ahead: dict[str, Entry] = {}
        """Read, and not said yet, by name."""
        self._recent: OrderedDict[bytes, int] = OrderedDict()
        """Said last: offsets of first copies by digest."""
        self._names: dict[str, int] | None = None

    @property
    def next(self) -> Entry | None:
        """The first entry not read yet."""
        return self._next

    @property
    def none_ahead(self) -> bool:
        """Nothing was read that is not said yet."""
        return not self._ahead

    @property
    def untouched(self) -> bool:
        """Nothing was said of it so far."""
        return not self._recent

    def take(self, digest: bytes, name: Callable[[], str]) -> Entry | None:
        """The first copy of the record with this digest, or of another one of its name; None when there is none."""
        found = self._next
        if found is not None and found.digest == digest and not self._ahead and digest not in self._recent:
            self._next = next(self._entries, None)
        else:
            found = self._search(digest, name())
        if found is not None:
            self._recent[found.digest] = found.offset
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        return found

    def _search(self, digest: bytes, name: str) -> Entry | None:
        if name in self._ahead:
            return self._ahead.pop(name)
        while (entry := self._next) is not None:
            self._next = next(self._entries, None)
            first = self._recent.get(entry.digest)
            if first is not None:
                self._on_copy(first, entry.offset, True)
                continue
            if entry.digest == digest:
                return entry
            named = self._name_at(entry.offset)
            if named == name:
                return entry
            self._put_by(named, entry)
        return None

    def _put_by(self, name: str, entry: Entry) -> None:
        waits = self._ahead.setdefault(name, entry)
        if waits is not entry:
            self._on_copy(waits.offset, entry.offset, waits.digest == entry.digest)

    def said(self, name: str) -> bool:
        """Whether a record of this name that is not there any more was said before. Slow: for findings only."""
        return name in self._first_offsets() and name not in self._ahead

    def _first_offsets(self) -> dict[str, int]:
        if self._names is None:
            self._names = {}
            for entry in self._index.read(self._place):
                self._names.setdefault(self._name_at(entry.offset), entry.offset)
        return self._names

    def rest(self) -> list[Entry]:
        """What nobody said, once the unit has said all. Copies that differ, and late ones, come to light here."""
        while (entry := self._next) is not None:
            self._next = next(self._entries, None)
            first = self._recent.get(entry.digest)
            if first is None:
                self._put_by(self._name_at(entry.offset), entry)
            else:
                self._on_copy(first, entry.offset, True)
        left = []
        for name, entry in self._ahead.items():
            first = self._first_offsets()[name]
            if first < entry.offset:
                self._on_copy(first, entry.offset, self._same(first, entry))
            else:
                left.append(entry)
        return left

    def _same(self, first: int, late: Entry) -> bool:
        return any(
            entry.offset == first and entry.digest == late.digest
            for entry in self._index.read(self._place)
            if entry.offset <= first
        )

    def dump(self) -> Any:
        """Where it stands, for `load`."""
        return [-1 if self._next is None else self._next.offset, [*self._ahead.items()], [*self._recent.items()]]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave; the topic may have lost its beginning since."""
        offset, ahead, recent = dumped
        while self._next is not None and (offset == -1 or self._next.offset < offset):
            self._next = next(self._entries, None)
        self._ahead = {name: Entry._make(entry) for name, entry in ahead}
        self._recent = OrderedDict((digest, first) for digest, first in recent)
