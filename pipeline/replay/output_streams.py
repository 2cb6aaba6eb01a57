"""The records of the topics, by who wrote them: one stream per (unit, topic, partition), in offset order.

A unit produces its records in the order in which it made them, so its stream is read once beside it; neither has to be
in memory. A stream is kept as runs of offsets, each of one batch. Records are read from the log as they lie in it and
compared unread; their names and digests are asked for only where they are not the ones expected next.
"""

import hashlib
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from endocrine.pipeline.replay.difference import Content
from endocrine.pipeline.replay.provenance import NO_BATCH, called
from endocrine.pipeline.replay.read_ahead import AHEAD, read_ahead
from endocrine.pipeline.replay.record_log import RecordLog, SerializedRecord
from endocrine.pipeline.replay.serialized import packed, unpacked

_RUN = struct.Struct("<qqq")
_CHUNK_BYTES = _RUN.size << 9
RECENT = 20_000
"""Records known of the last produced on a stream: copies come from a successor that produces its predecessor's last
batch again. A copy that comes later than that is found out at the stream's end, by reading it once more."""
StreamKey = tuple[str, str, int]
"""Unit, topic, partition."""


class RecordRef(NamedTuple):
    """A record that was looked at beyond its place."""

    offset: int
    digest: bytes


def digest_of(form: Content) -> bytes:
    """Return 16 bytes that identify a record's key, value and headers."""
    return _digest(packed(*form))


def _digest(serialized: bytes) -> bytes:
    return hashlib.blake2b(serialized, digest_size=16).digest()


class Index:
    """All streams, in one file (or in memory, for io.BytesIO)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffers: dict[StreamKey, bytearray] = {}
        self._chunks: dict[StreamKey, list[tuple[int, int]]] = {}
        self._size = 0

    def add(self, place: StreamKey, first: int, count: int, batch: int) -> None:
        """Append `count` records of one batch, at offsets from `first` on, to a stream."""
        buffer = self._buffers.get(place)
        if buffer is None:
            buffer = self._buffers[place] = bytearray()
            self._chunks[place] = []
        buffer += _RUN.pack(first, count, batch)
        if len(buffer) >= _CHUNK_BYTES:
            self._write(place, buffer)

    def close(self) -> None:
        """End adding: write what is buffered."""
        for place, buffer in self._buffers.items():
            self._write(place, buffer)
        self._buffers.clear()

    def _write(self, place: StreamKey, buffer: bytearray) -> None:
        if buffer:
            self._file.seek(self._size)
            self._file.write(buffer)
            self._chunks[place].append((self._size, len(buffer)))
            self._size += len(buffer)
            buffer.clear()

    def of(self, processor: str) -> list[tuple[str, int]]:
        """Return the topics and partitions that a unit has written to."""
        return [(topic, partition) for name, topic, partition in self._chunks if name == processor]

    def read(self, place: StreamKey) -> Iterator[tuple[int, int, int]]:
        """Yield the runs of a stream from its beginning: first offset, count and batch."""
        for begin, size in self._chunks.get(place, ()):
            self._file.seek(begin)
            yield from _RUN.iter_unpack(self._file.read(size))


class OutputStream:
    """Reads a stream beside the unit that wrote it.

    log: of the stream's topic and partition. on_copy: called with (first offset, offset, whether they are equal).
    erased: whether a serialized record is one that nobody can make again; such a record is passed over.
    """

    def __init__(
        self,
        index: Index,
        place: StreamKey,
        log: RecordLog,
        on_copy: Callable[[int, int, bool], None],
        erased: Callable[[bytes], bool] = lambda serialized: False,
    ) -> None:
        self.log = log
        self._erased = erased
        self.last_offset = -1
        """Offset of the last output found here: later outputs must not lie before it."""
        self._index, self._place, self._on_copy = index, place, on_copy
        self._pieces = self._from(0)
        self._piece: Sequence[SerializedRecord] = ()
        self._batch = NO_BATCH
        """What was read last, of one batch."""
        self._at = 0
        """Index in it of the next record."""
        self._ahead: dict[str, RecordRef] = {}
        """Read, and not produced again yet, by name."""
        self._produced: deque[int] = deque(maxlen=RECENT)
        """Offsets of the last outputs, as long as each was in its place."""
        self._recent: OrderedDict[bytes, int] | None = None
        """From then on: offsets of first copies by digest."""
        self._names: dict[str, int] | None = None

    def _from(self, start: int) -> Iterator[tuple[int, Sequence[SerializedRecord]]]:
        """Its records at this offset and above, some at a time, with their batch."""
        window = read_ahead(self.log)
        for first, count, batch in self._index.read(self._place):
            for begin in range(max(first, start), first + count, AHEAD):
                yield batch, window.run(begin, min(AHEAD, first + count - begin))

    def _more(self) -> bool:
        """Whether there is a next record; it is read."""
        while self._at == len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._batch, self._piece = piece
            self._at = 0
        return True

    @property
    def untouched(self) -> bool:
        """Whether none of its records was produced again so far."""
        return not self._produced and not self._recent

    def is_past(self, batch: int) -> bool:
        """Return whether it is beyond this batch, so that searching it for a record of the batch is vain."""
        return batch != NO_BATCH and not self._ahead and (not self._more() or self._batch > batch)

    def take(self, expected: Sequence[bytes]) -> list[int]:
        """Return the offsets of these outputs, from the first on, as far as they are the very records that are next.

        The first that is not, and those after it, are to be searched for. A unit produces no two equal records (each
        names its cause by offset and ordinal), so none of those that are is a copy.
        """
        offsets: list[int] = []
        while (taken := len(offsets)) < len(expected) and not self._ahead and self._more():
            some = self._piece[self._at : self._at + len(expected) - taken]
            unread = [serialized for _, serialized in some]
            if unread != expected[taken : taken + len(some)]:
                some = some[: next(n for n, serialized in enumerate(unread) if serialized != expected[taken + n])]
                if not some:
                    break
            self._at += len(some)
            offsets += [offset for offset, _ in some]
            if self._recent is not None:
                for offset, serialized in some:
                    self._note(RecordRef(offset, _digest(serialized)))
        if self._recent is None:
            self._produced.extend(offsets)
        return offsets

    def search(self, form: Content) -> RecordRef | None:
        """Return the first copy of this record, or of another one of its name; None when both are missing."""
        found = self._searched(digest_of(form), called(self._place[1], form[2]))
        if found is not None:
            self._note(found)
        return found

    def _searched(self, digest: bytes, name: str) -> RecordRef | None:
        if name in self._ahead:
            return self._ahead.pop(name)
        recent = self._known()
        for seen, named in self._unread():
            first = recent.get(seen.digest)
            if first is not None:
                self._on_copy(first, seen.offset, True)
                continue
            if seen.digest == digest or named == name:
                return seen
            self._put_by(named, seen)
        return None

    def _unread(self) -> Iterator[tuple[RecordRef, str]]:
        """Yield the records from here on, each with its name; what was given is read."""
        while self._more():
            offset, serialized = self._piece[self._at]
            self._at += 1
            if self._erased(serialized):
                continue
            yield RecordRef(offset, _digest(serialized)), self._called(serialized)

    def _called(self, serialized: bytes) -> str:
        return called(self._place[1], unpacked(serialized)[2])

    def _note(self, found: RecordRef) -> None:
        recent = self._known()
        recent[found.digest] = found.offset
        if len(recent) > RECENT:
            recent.popitem(last=False)

    def _known(self) -> OrderedDict[bytes, int]:
        """Offsets of the last outputs, by digest."""
        if self._recent is None:
            window = read_ahead(self.log)
            self._recent = OrderedDict((_digest(window.run(offset, 1)[0][1]), offset) for offset in self._produced)
            self._produced.clear()
        return self._recent

    def _put_by(self, name: str, seen: RecordRef) -> None:
        waits = self._ahead.setdefault(name, seen)
        if waits is not seen:
            self._on_copy(waits.offset, seen.offset, waits.digest == seen.digest)

    def was_produced(self, name: str) -> bool:
        """Return whether a record of this name that is not there any more was produced before. Slow: for findings
        only."""
        return name in self._first_offsets() and name not in self._ahead

    def _first_offsets(self) -> dict[str, int]:
        if self._names is None:
            self._names = {}
            for _, piece in self._from(0):
                for offset, serialized in piece:
                    self._names.setdefault(self._called(serialized), offset)
        return self._names

    def rest(self) -> list[int]:
        """Return the offsets of records that no batch produced, after the last batch. Reports late copies, and ones
        that differ."""
        for seen, named in self._unread():
            first = self._known().get(seen.digest)
            if first is None:
                self._put_by(named, seen)
            else:
                self._on_copy(first, seen.offset, True)
        left = []
        for name, seen in self._ahead.items():
            if self._erased(read_ahead(self.log).run(seen.offset, 1)[0][1]):
                continue  # it was read before it was known to be one
            first = self._first_offsets()[name]
            if first < seen.offset:
                self._on_copy(first, seen.offset, _digest(read_ahead(self.log).run(first, 1)[0][1]) == seen.digest)
            else:
                left.append(seen.offset)
        return left

    def dump(self) -> Any:
        """Return the position, for `load`."""
        piece = self._piece[self._at][0] if self._more() else -1
        return [piece, self.last_offset, [*self._ahead.items()], [*self._known().items()]]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave; the topic may have lost its beginning since."""
        offset, self.last_offset, ahead, recent = dumped
        self._pieces, self._piece, self._at = self._from(self.log.end if offset == -1 else offset), (), 0
        self._ahead = {name: RecordRef._make(seen) for name, seen in ahead}
        self._recent = OrderedDict((digest, first) for digest, first in recent)
