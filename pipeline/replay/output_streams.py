"""What stands on the topics, by who wrote it: one lane per (unit, topic, partition), in offset order.

A unit says its records in the order in which it made them, so its lane is read once beside it, and neither has to be in
memory. A lane is kept as runs of offsets, each of one batch. Records are read from the log as they lie in it and
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
"""Records known of what was said last on a lane: copies come from a successor that says its predecessor's last batch
again. A copy that comes later than that is found out at the lane's end, by reading it once more."""
StreamKey = tuple[str, str, int]
"""Unit, topic, partition."""


class RecordRef(NamedTuple):
    """A record that was looked at beyond its place."""

    offset: int
    digest: bytes


def digest_of(form: Content) -> bytes:
    """16 bytes that stand for a record's key, value and headers."""
    return _digest(packed(*form))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Index:
    """All lanes, in one file (or in memory, for io.BytesIO)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffers: dict[StreamKey, bytearray] = {}
        self._chunks: dict[StreamKey, list[tuple[int, int]]] = {}
        self._size = 0

    def add(self, place: StreamKey, first: int, count: int, batch: int) -> None:
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

    def _write(self, place: StreamKey, buffer: bytearray) -> None:
        if buffer:
            self._file.seek(self._size)
            self._file.write(buffer)
            self._chunks[place].append((self._size, len(buffer)))
            self._size += len(buffer)
            buffer.clear()

    def of(self, processor: str) -> list[tuple[str, int]]:
        """Topics and partitions on which a unit has written."""
        return [(topic, partition) for name, topic, partition in self._chunks if name == processor]

    def read(self, place: StreamKey) -> Iterator[tuple[int, int, int]]:
        """The runs of a lane from its beginning: first offset, count and batch."""
        for begin, size in self._chunks.get(place, ()):
            self._file.seek(begin)
            yield from _RUN.iter_unpack(self._file.read(size))


class OutputStream:
    """Reads a lane beside the unit that wrote it.

    log: of the lane's topic and partition. on_copy: told (first offset, offset, whether they are equal).
    """

    def __init__(
        self, index: Index, place: StreamKey, log: RecordLog, on_copy: Callable[[int, int, bool], None]
    ) -> None:
        self.log = log
        self.spoken = -1
        """Offset of the last output found here: what is thought later must not stand before it."""
        self._index, self._place, self._on_copy = index, place, on_copy
        self._pieces = self._from(0)
        self._piece: Sequence[SerializedRecord] = ()
        self._batch = NO_BATCH
        """What was read last, of one batch."""
        self._at = 0
        """Place in it of the record that stands next."""
        self._ahead: dict[str, RecordRef] = {}
        """Read, and not said yet, by name."""
        self._said: deque[int] = deque(maxlen=RECENT)
        """Offsets of what was said last, as long as nothing stood out of its place."""
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
        """Whether a record stands next; it is read."""
        while self._at == len(self._piece):
            following = next(self._pieces, None)
            if following is None:
                return False
            self._batch, self._piece = following
            self._at = 0
        return True

    @property
    def untouched(self) -> bool:
        """Nothing was said of it so far."""
        return not self._said and not self._recent

    def is_past(self, batch: int) -> bool:
        """Whether it is beyond this batch, so that searching it for a record of the batch is vain."""
        return batch != NO_BATCH and not self._ahead and (not self._more() or self._batch > batch)

    def take(self, expected: Sequence[bytes]) -> list[int]:
        """The offsets of these bodies, from the first on, as far as they are the very ones that stand next.

        The first that is not, and those after it, are to be searched for. A unit says no two equal records (each names
        its cause by offset and ordinal), so none of those that are is a copy.
        """
        offsets: list[int] = []
        while (taken := len(offsets)) < len(expected) and not self._ahead and self._more():
            some = self._piece[self._at : self._at + len(expected) - taken]
            stand = [body for _, body in some]
            if stand != expected[taken : taken + len(some)]:
                some = some[: next(n for n, body in enumerate(stand) if body != expected[taken + n])]
                if not some:
                    break
            self._at += len(some)
            offsets += [offset for offset, _ in some]
            if self._recent is not None:
                for offset, body in some:
                    self._note(RecordRef(offset, _digest(body)))
        if self._recent is None:
            self._said.extend(offsets)
        return offsets

    def search(self, form: Content) -> RecordRef | None:
        """The first copy of this record, or of another one of its name; None when there is none."""
        found = self._searched(digest_of(form), called(self._place[1], form[2]))
        if found is not None:
            self._note(found)
        return found

    def _searched(self, digest: bytes, name: str) -> RecordRef | None:
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

    def _following(self) -> Iterator[tuple[RecordRef, str]]:
        """What stands from here on, each with its name; what was given is read."""
        while self._more():
            offset, body = self._piece[self._at]
            self._at += 1
            yield RecordRef(offset, _digest(body)), self._called(body)

    def _called(self, body: bytes) -> str:
        return called(self._place[1], unpacked(body)[2])

    def _note(self, found: RecordRef) -> None:
        recent = self._known()
        recent[found.digest] = found.offset
        if len(recent) > RECENT:
            recent.popitem(last=False)

    def _known(self) -> OrderedDict[bytes, int]:
        """What was said last, by digest."""
        if self._recent is None:
            window = read_ahead(self.log)
            self._recent = OrderedDict((_digest(window.run(offset, 1)[0][1]), offset) for offset in self._said)
            self._said.clear()
        return self._recent

    def _put_by(self, name: str, seen: RecordRef) -> None:
        waits = self._ahead.setdefault(name, seen)
        if waits is not seen:
            self._on_copy(waits.offset, seen.offset, waits.digest == seen.digest)

    def said(self, name: str) -> bool:
        """Whether a record of this name that is not there any more was said before. Slow: for findings only."""
        return name in self._first_offsets() and name not in self._ahead

    def _first_offsets(self) -> dict[str, int]:
        if self._names is None:
            self._names = {}
            for _, piece in self._from(0):
                for offset, body in piece:
                    self._names.setdefault(self._called(body), offset)
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
                self._on_copy(first, seen.offset, _digest(read_ahead(self.log).run(first, 1)[0][1]) == seen.digest)
            else:
                left.append(seen.offset)
        return left

    def dump(self) -> Any:
        """Where it stands, for `load`."""
        following = self._piece[self._at][0] if self._more() else -1
        return [following, self.spoken, [*self._ahead.items()], [*self._known().items()]]

    def load(self, dumped: Any) -> None:
        """Go on from what `dump` gave; the topic may have lost its beginning since."""
        offset, self.spoken, ahead, recent = dumped
        self._pieces, self._piece, self._at = self._from(self.log.end if offset == -1 else offset), (), 0
        self._ahead = {name: RecordRef._make(seen) for name, seen in ahead}
        self._recent = OrderedDict((digest, first) for digest, first in recent)
