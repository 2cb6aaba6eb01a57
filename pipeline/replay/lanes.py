"""What stands on the topics, by who wrote it: one lane per (unit, topic, partition), in offset order.

A unit says its records in the order in which it made them, so its lane is read once beside it, and neither has to be in
memory. A lane is kept as runs of offsets, each of one batch. A record is read from its log and compared as it is; its
name and its digest are asked for only where it is not the one expected next.
"""

import hashlib
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import msgpack

from pipeline.replay.difference import Form, form_of
from pipeline.replay.origins import NO_BATCH, called
from pipeline.replay.spool import AHEAD, Log, Window

_RUN = struct.Struct("<qqq")
_CHUNK_BYTES = _RUN.size << 9
RECENT = 20_000
"""Records known of what was said last on a lane: copies come from a successor that says its predecessor's last batch
again. A copy that comes later than that is found out at the lane's end, by reading it once more."""
Place = tuple[str, str, int]
"""Unit, topic, partition."""
_pack = msgpack.Packer().pack


class Seen(NamedTuple):
    """A record that was looked at beyond its place."""

    offset: int
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

    def add(self, place: Place, first: int, count: int, batch: int) -> None:
        """Append `count` records of one batch, at offsets from `first` on, to a lane."""
        buffer = self._buffers.get(place)
        if buffer is None:
            buffer = self._buffers[place] = bytearray()
            self._chunks[place] = []
        buffer += _RUN.pack(first, count, batch)
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

    def read(self, place: Place) -> Iterator[tuple[int, int, int]]:
        """The runs of a lane from its beginning: first offset, count and batch."""
        for begin, size in self._chunks.get(place, ()):
            self._file.seek(begin)
            yield from _RUN.iter_unpack(self._file.read(size))


class Lane:
    """Reads a lane beside the unit that wrote it.

    log: of the lane's topic and partition. on_copy: told (first offset, offset, whether they are equal).
    """

    def __init__(self, index: Index, place: Place, log: Log, on_copy: Callable[[int, int, bool], None]) -> None:
        self.log = log
        self.spoken = -1
        """Offset of the last output found here: what is thought later must not stand before it."""
        self._index, self._place, self._on_copy = index, place, on_copy
        self._records = self._from(0)
        self._next = next(self._records, None)
        """The record that stands next, and its batch."""
        self._ahead: dict[str, Seen] = {}
        """Read, and not said yet, by name."""
        self._said: deque[int] = deque(maxlen=RECENT)
        """Offsets of what was said last, as long as nothing stood out of its place."""
        self._recent: OrderedDict[bytes, int] | None = None
        """From then on: offsets of first copies by digest."""
        self._names: dict[str, int] | None = None

    def _from(self, start: int) -> Iterator[tuple[Any, int]]:
        """Its records at this offset and above, with their batches."""
        window = Window(self.log)
        for first, count, batch in self._index.read(self._place):
            for begin in range(max(first, start), first + count, AHEAD):
                for raw in window.run(begin, min(AHEAD, first + count - begin)):
                    yield raw, batch

    @property
    def untouched(self) -> bool:
        """Nothing was said of it so far."""
        return not self._said and not self._recent

    def is_past(self, batch: int) -> bool:
        """Whether it is beyond this batch, so that searching it for a record of the batch is vain."""
        return batch != NO_BATCH and not self._ahead and (self._next is None or self._next[1] > batch)

    def take(self, form: Form) -> int | None:
        """The offset at which this very record stands next; None where it must be searched for.

        A unit says no two equal records (each names its cause by offset and ordinal), so the next one is no copy.
        """
        if self._next is None or self._ahead:
            return None
        raw, _ = self._next
        if raw.value != form[1] or tuple(raw.headers) != form[2] or raw.key != form[0]:
            return None
        offset: int = raw.offset
        self._next = next(self._records, None)
        if self._recent is None:
            self._said.append(offset)
        else:
            self._note(Seen(offset, digest_of(form)))
        return offset

    def search(self, form: Form) -> Seen | None:
        """The first copy of this record, or of another one of its name; None when there is none."""
        found = self._searched(digest_of(form), called(self._place[1], form[2]))
        if found is not None:
            self._note(found)
        return found

    def _searched(self, digest: bytes, name: str) -> Seen | None:
        if name in self._ahead:
            return self._ahead.pop(name)
        recent = self._known()
        for seen, named in self._following():
            first = recent.get(seen.digest)
            if first is not None:
                self._on_copy(first, seen.offset, True)
                continue
            if seen.digest == digest or named == name:
                return seen
            self._put_by(named, seen)
        return None

    def _following(self) -> Iterator[tuple[Seen, str]]:
        """What stands from here on, each with its name; what was given is read."""
        while self._next is not None:
            raw, _ = self._next
            self._next = next(self._records, None)
            yield Seen(raw.offset, digest_of(form_of(raw))), called(self._place[1], raw.headers)

    def _note(self, found: Seen) -> None:
        recent = self._known()
        recent[found.digest] = found.offset
        if len(recent) > RECENT:
            recent.popitem(last=False)

    def _known(self) -> OrderedDict[bytes, int]:
        """What was said last, by digest."""
        if self._recent is None:
            window = Window(self.log)
            self._recent = OrderedDict((digest_of(form_of(window.at(offset))), offset) for offset in self._said)
            self._said.clear()
        return self._recent

    def _put_by(self, name: str, seen: Seen) -> None:
        waits = self._ahead.setdefault(name, seen)
        if waits is not seen:
            self._on_copy(waits.offset, seen.offset, waits.digest == seen.digest)

    def said(self, name: str) -> bool:
        """Whether a record of this name that is not there any more was said before. Slow: for findings only."""
        return name in self._first_offsets() and name not in self._ahead

    def _first_offsets(self) -> dict[str, int]:
        if self._names is None:
            self._names = {}
            for raw, _ in self._from(0):
                self._names.setdefault(called(self._place[1], raw.headers), raw.offset)
        return self._names

    def rest(self) -> list[int]:
        """Offsets of what nobody said, once the unit has said all. Copies that differ, and late ones, come to light."""
        for seen, named in self._following():
            first = self._known().get(seen.digest)
            if first is None:
                self._put_by(named, seen)
            else:
                self._on_copy(first, seen.offset, True)
        left = []
        for name, seen in self._ahead.items():
            first = self._first_offsets()[name]
            if first < seen.offset:
                self._on_copy(first, seen.offset, digest_of(form_of(self.log.at(first))) == seen.digest)
            else:
                left.append(seen.offset)
        return left

    def dump(self) -> Any:
        """Where it stands, for `load`."""
        following = -1 if self._next is None else self._next[0].offset
        return [following, self.spoken, [*self._ahead.items()], [*self._known().items()]]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave; the topic may have lost its beginning since."""
        offset, self.spoken, ahead, recent = dumped
        self._records = self._from(self.log.end if offset == -1 else offset)
        self._next = next(self._records, None)
        self._ahead = {name: Seen._make(seen) for name, seen in ahead}
        self._recent = OrderedDict((digest, first) for digest, first in recent)
