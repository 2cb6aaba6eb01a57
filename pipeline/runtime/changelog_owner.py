"""The changelog partition of one (agent, partition): its recovery, and fencing of whoever else writes there.

An owner appends an epoch record, whose offset is its epoch. A record whose epoch is older than the latest one before it
is void: a zombie wrote it. So after each append of ours, and whenever nothing is read, the owner looks at what others
appended meanwhile: a newer epoch fences it; where a void record hides the last value of a key, that value is written
again.
"""

from collections.abc import Sequence

from endocrine.pipeline.core.changelog import EPOCH_KEY, Recovered
from endocrine.pipeline.runtime.broker_port import BrokerPort
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.state_stores import StateStore


class ChangelogOwner:
    """Writes one changelog partition, and keeps its last values in a store. Methods raise Retry, Fatal or Fenced.

    name: `agent/partition`, for errors.
    """

    def __init__(self, name: str, broker: BrokerPort, store: StateStore) -> None:
        self.epoch = -1
        """Offset of our epoch record; -1 before the first."""
        self.next_offset = 0
        """The offset that our next record gets if nobody else has written."""
        self._name = name
        self._broker = broker
        self._store = store

    async def begin_epoch(self) -> None:
        """Append an epoch record; from its offset on, records of older owners are void."""
        self.epoch = await self._broker.epoch()

    async def recover(self) -> set[bytes]:
        """Bring the store up to our epoch, and return the keys that void records hide: `repair` them."""
        recovered = Recovered(self._store)
        async for entries in self._broker.changelog(self._resume(recovered), self.epoch + 1):
            recovered.apply(entries)
            if entries:
                self._store.flush(entries[-1].offset + 1, recovered.epoch, recovered.void)
        if recovered.epoch != self.epoch:  # compacted away, which only a newer epoch can do
            raise Fenced(f"{self._name}: the changelog shows epoch {recovered.epoch}, ours at {self.epoch} is gone")
        self.next_offset = self.epoch + 1
        return recovered.void

    def get(self, key: bytes) -> bytes | None:
        """Return the last value of a key, or None."""
        return self._store.get(key)

    async def append(self, items: Sequence[tuple[bytes, bytes | None]]) -> int:
        """Append records as one batch, keep them in the store, and return the batch's base offset.

        `verify` it before anything that follows from the batch leaves the processor.
        """
        base = await self._broker.write_checkpoint(items, self.epoch)
        for key, value in items:
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value
        return base

    async def verify(self, base: int, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """See who wrote before a batch of ours at `base` that does not directly follow the last, and repair."""
        await self.repair(await self._hidden(base, items))

    async def check(self) -> None:
        """See who has written since our last record, and repair: for an owner that has nothing to write."""
        end = await self._broker.changelog_end()
        hidden = await self._foreign(self.next_offset, end)
        self.next_offset = max(self.next_offset, end)
        await self.repair(hidden)

    async def repair(self, keys: set[bytes]) -> None:
        """Write again the values that a zombie's void records hide."""
        while keys:
            items = [(key, self._store.get(key)) for key in sorted(keys)]
            base = await self._broker.write_checkpoint(items, self.epoch)
            keys = await self._hidden(base, items)

    def _resume(self, recovered: Recovered) -> int:
        """From which offset to recover: a durable store that is not ahead of the changelog saves the rest."""
        position = self._store.begin()
        if position is None or position.next_offset > self.epoch:
            self._store.clear()
            return 0
        recovered.epoch, recovered.void = position.epoch, set(position.void)
        return position.next_offset

    async def _hidden(self, base: int, items: Sequence[tuple[bytes, bytes | None]]) -> set[bytes]:
        """Keys that others wrote last, now that a batch of ours is at `base`. Raises Fenced on a newer epoch."""
        if base == self.next_offset:
            self.next_offset = base + len(items)
            self._store.flush(self.next_offset, self.epoch, set())
            return set()
        try:
            hidden = await self._foreign(self.next_offset, base) - {key for key, _ in items}
            self.next_offset = base + len(items)
            # An epoch record in the gap may have been compacted away, which only a newer one can do, and the newest
            # never is: so read on until nothing more has come.
            while (end := await self._broker.changelog_end()) > self.next_offset:
                hidden |= await self._foreign(self.next_offset, end)
                self.next_offset = end
        except Retry as error:  # going on without producing would lose what the checkpoint has
            raise Fatal(f"{self._name}: checkpoint written, but cannot see who else wrote: {error}") from error
        self._store.flush(self.next_offset, self.epoch, hidden)
        return hidden

    async def _foreign(self, start: int, end: int) -> set[bytes]:
        """Keys that older owners wrote at start <= offset < end. Raises Fenced on a newer epoch."""
        hidden: set[bytes] = set()
        if start >= end:
            return hidden
        async for entries in self._broker.changelog(start, end):
            for entry in entries:
                if entry.key == EPOCH_KEY:
                    raise Fenced(f"{self._name}: owned anew from {entry.offset}; ours is {self.epoch}", entry.value)
                if entry.epoch < self.epoch:
                    hidden.add(entry.key)
        return hidden
