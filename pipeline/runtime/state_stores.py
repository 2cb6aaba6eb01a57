"""Where a processor keeps its states locally: a dict, or RocksDB when there are more of them than memory.

The changelog is the truth; a durable store is a head start. It keeps, in one atomic write with the states, up to where
of the changelog it has come, so that a recovery reads only the rest.
"""

import shutil
import time
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import msgpack
from rocksdict import Options, Rdict, WriteBatch

from endocrine.pipeline.core.changelog import KeyValues

POSITION_KEY = b"\0mark"
"""Begins with a byte that no changelog key begins with."""
WRITE_BUFFER_BYTES = 8 << 20
"""Per store; a worker has one per agent and partition."""


class StorePosition(NamedTuple):
    """Up to where a store has applied its changelog."""

    next_offset: int
    """The next offset to apply."""
    epoch: int
    """The latest epoch seen."""
    void: tuple[bytes, ...]
    """Keys whose last record was void."""
    written_at: float
    """Seconds since 1970, by the local clock: how old the store is when it is opened."""


class StateStore(KeyValues, Protocol):
    """The last value of each key of a changelog partition, as its owner keeps it.

    A store may lag behind the changelog, which `begin` tells; it is never ahead of it for long, since `flush` follows
    each batch that nobody else has fenced.
    """

    def begin(self) -> StorePosition | None:
        """Return up to where the store has applied its changelog, before each recovery; None: from its beginning."""
        ...

    def flush(self, next_offset: int, epoch: int, void: set[bytes]) -> None:
        """Make what was set durable: the changelog below `next_offset` is in it. void: keys that are to be repaired."""
        ...

    def clear(self) -> None:
        """Remove everything."""
        ...

    def close(self) -> None:
        """Release what the store holds of the machine."""
        ...


class MemoryStore(dict[bytes, bytes]):
    """States in memory: every recovery reads the whole changelog."""

    def begin(self) -> StorePosition | None:
        """Return None: nothing outlives the process."""
        return None

    def flush(self, next_offset: int, epoch: int, void: set[bytes]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class RocksStore(MutableMapping[bytes, bytes]):
    """States of one processor in RocksDB. `flush` writes what was set and the position, all or nothing.

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

    def position(self) -> StorePosition | None:
        """Return what the last flush noted; None for a new store or one that cannot be read."""
        packed = self._db.get(POSITION_KEY)
        if packed is None:
            return None
        try:
            next_offset, epoch, void, written_at = msgpack.unpackb(packed, use_list=False)
        except ValueError:
            return None
        return StorePosition(next_offset, epoch, tuple(void), written_at)

    def too_old(self, position: StorePosition) -> bool:
        """Return whether it was left alone for longer than max_age_s."""
        return time.time() - position.written_at > self._max_age_s

    def begin(self) -> StorePosition | None:
        """Forget what was set and not flushed (its batch may be void); return the position, unless it is too old.

        Asked at every recovery, for a process may sleep for days between two of them.
        """
        self._fresh.clear()
        position = self.position()
        return None if position is None or self.too_old(position) else position

    def flush(self, next_offset: int, epoch: int, void: set[bytes]) -> None:
        """Write what was set since the last flush, and the position, at once."""
        batch = WriteBatch(raw_mode=True)
        for key, value in self._fresh.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(POSITION_KEY, msgpack.packb([next_offset, epoch, sorted(void), time.time()]))
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
        """Return the value of a key, flushed or not."""
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
            if key != POSITION_KEY and key not in self._fresh:
                yield key
        yield from (key for key, value in self._fresh.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        """Remove everything, the position too."""
        self._fresh.clear()
        self._db.close()
        with suppress(FileNotFoundError):
            shutil.rmtree(self._path)
        self._db = self._open()
