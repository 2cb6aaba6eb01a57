"""Where a unit holds its states locally: a dict, or RocksDB when there are more of them than memory.

The changelog is the truth; a durable store is a head start. It keeps, in one atomic write with the states, up to where
of the changelog it has come, so that a takeover reads only the rest.
"""

import shutil
import time
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgpack
from rocksdict import Options, Rdict, WriteBatch

MARK_KEY = b"\0mark"
"""Begins with a byte that no changelog key begins with."""
WRITE_BUFFER_BYTES = 8 << 20
"""Per store; a worker has one per agent and partition."""


class Mark(NamedTuple):
    """Up to where a store has applied its changelog."""

    position: int
    """The next offset to apply."""
    epoch: int
    """The latest claim seen."""
    void: tuple[bytes, ...]
    """Keys whose last record was void."""
    written_at: float
    """Seconds since 1970, by the local clock: how old the store is when it is opened."""


class RocksStore(MutableMapping[bytes, bytes]):
    """States of one unit in RocksDB. What is set is gathered, and written with its mark by `flush`, all or nothing.

    max_age_s: `begin` passes over what was left alone for longer: tombstones it missed may be compacted away by now.
    """

    def __init__(self, path: Path, *, max_age_s: float) -> None:
        self._path = path
        self._max_age_s = max_age_s
        self._fresh: dict[bytes, bytes | None] = {}
        self._db = self._open()

    def _open(self) -> Rdict:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        return Rdict(str(self._path), options=options)

    def mark(self) -> Mark | None:
        """What the last flush noted; None for a new store or one that cannot be read."""
        packed = self._db.get(MARK_KEY)
        if packed is None:
            return None
        try:
            position, epoch, void, written_at = msgpack.unpackb(packed, use_list=False)
        except ValueError:
            return None
        return Mark(position, epoch, tuple(void), written_at)

    def too_old(self, mark: Mark) -> bool:
        """Whether it was left alone for longer than max_age_s."""
        return time.time() - mark.written_at > self._max_age_s

    def begin(self) -> Mark | None:
        """Forget what was set and not flushed (its batch may be void), and tell the mark, unless it is too old.

        Asked at every takeover, for a process may sleep for days between two of them.
        """
        self._fresh.clear()
        mark = self.mark()
        return None if mark is None or self.too_old(mark) else mark

    def flush(self, position: int, epoch: int, void: set[bytes]) -> None:
        """Write what was set since the last flush, and the mark, at once."""
        batch = WriteBatch(raw_mode=True)
        for key, value in self._fresh.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(MARK_KEY, msgpack.packb([position, epoch, sorted(void), time.time()]))
        self._db.write(batch)
        self._fresh.clear()

    def close(self) -> None:
        """Release the folder; what was not flushed is forgotten."""
        self._fresh.clear()
        self._db.close()

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        """The value of a key, flushed or not."""
        found = self._fresh[key] if key in self._fresh else self._db.get(key)
        return default if found is None else found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._fresh[key] = value

    def __delitem__(self, key: bytes) -> None:
        if self.get(key) is None:
            raise KeyError(key)
        self._fresh[key] = None

    def __iter__(self) -> Iterator[bytes]:
        for key in self._db.keys():  # noqa: SIM118 - an Rdict is no mapping
            if key != MARK_KEY and key not in self._fresh:
                yield key
        yield from (key for key, value in self._fresh.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        """Throw everything away, the mark too."""
        self._fresh.clear()
        self._db.close()
        with suppress(FileNotFoundError):
            shutil.rmtree(self._path)
        self._db = self._open()
