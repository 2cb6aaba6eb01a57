"""The format of a changelog partition: its keys, and which of its records are void.

Keys: `c` an epoch record, `h` the checkpoint, `o` + slot an outbox, `s` + state key a state. Every other record carries
in the header `epoch` the offset of its writer's epoch record. A record whose epoch is older than the latest one before
it is void: a zombie wrote it.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from endocrine.pipeline.core.records import Headers

EPOCH_KEY = b"c"
CHECKPOINT_KEY = b"h"
CLAIM_HEADER = "claim"


def state_key(key: str) -> bytes:
    """Return the changelog key of a state.

    >>> state_key("ann")
    b'sann'
    """
    return b"s" + key.encode()


def outbox_key(batch: int, slots: int) -> bytes:
    """Return the changelog key of a batch's outbox. slots: so many batches have keys of their own.

    >>> outbox_key(7, 2)
    b'o1'
    """
    return b"o%d" % (batch % slots)


class Entry(NamedTuple):
    """One record of a changelog partition."""

    offset: int
    key: bytes
    value: bytes | None
    epoch: int
    """The writer's epoch: the offset of its epoch record, which for that record is its own offset."""


def epoch_of(headers: Headers) -> int:
    """Return the epoch that a record was written under; -1, older than any, where it names none: then no processor
    wrote it."""
    for name, content in headers:
        if name == CLAIM_HEADER and content is not None:
            with suppress(ValueError):
                return int(content)
    return -1


def entries_of(records: Iterable[Any]) -> list[Entry]:
    """Return records of a changelog, as fetched. None of ours is without a key: those are passed over."""
    return [
        Entry(raw.offset, raw.key, raw.value, raw.offset if raw.key == EPOCH_KEY else epoch_of(raw.headers))
        for raw in records
        if raw.key is not None
    ]


class KeyValues(Protocol):
    """What recovery needs of a store."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the value of a key, or None."""
        ...

    def pop(self, key: bytes, default: None, /) -> bytes | None:
        """Remove a key, if it is there."""
        ...

    def __setitem__(self, key: bytes, value: bytes, /) -> None: ...


class Recovered:
    """Applies changelog records in offset order, without void ones."""

    def __init__(self, store: KeyValues) -> None:
        self.store = store
        self.epoch = -1
        """The latest epoch seen."""
        self.void: set[bytes] = set()
        """Keys whose last record is void: the value in the store must be written again."""

    def apply(self, entries: Iterable[Entry]) -> None:
        """Apply the next records."""
        store, void = self.store, self.void
        for entry in entries:
            key, value = entry.key, entry.value
            if key == EPOCH_KEY:
                self.epoch = entry.offset
            elif entry.epoch < self.epoch:
                void.add(key)
            else:
                void.discard(key)
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
