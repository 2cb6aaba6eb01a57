"""Sends groups of hostile records, and keeps a ledger of what the broker took."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from shapes import Group, Hostile, Ledger
from wire import Wire, batch

from endocrine.pipeline.process.settings import Settings


class Producer:
    """A client of a run's topics. open: partitions on which a transaction is left open."""

    def __init__(self, settings: Settings, wire: Wire) -> None:
        self.ledger = Ledger()
        self.open: set[int] = set()
        self._settings, self._wire = settings, wire
        self._transactional: AIOKafkaProducer | None = None

    async def send(self, groups: Sequence[Group]) -> None:
        """All of them, in order; those in transactions last. A transaction that was left open before is aborted."""
        await self._end_open()
        for group in groups:
            if not group.transaction:
                await self._plain(group)
        for group in sorted((one for one in groups if one.transaction), key=lambda one: one.transaction == "open"):
            await self._in_transaction(group)

    async def say(self, record: Hostile) -> None:
        """One record that must be taken. Raises RuntimeError."""
        before = self.ledger.refused
        await self._plain(Group([record]))
        if self.ledger.refused > before:
            raise RuntimeError(f"the broker refuses an ordinary record on {record.topic}")

    async def close(self) -> None:
        """End what is open, and the connection."""
        await self._end_open()
        if self._transactional is not None:
            await self._transactional.stop()
            self._transactional = None

    async def _plain(self, group: Group) -> None:
        first = group.records[0]
        records = [(one.key, one.value, one.headers) for one in group.records]
        topic = self._settings.prefix + first.topic
        # Packed in a thread: a bomb takes a moment, and other tasks of this process watch meanwhile.
        data = await asyncio.to_thread(batch, records, group.codec)
        error, offset = await self._wire.produce(topic, first.partition, data)
        if error:
            self.ledger.refused += len(records)
            return
        for n, one in enumerate(group.records):
            self.ledger.taken[one.topic, one.partition, offset + n] = one

    async def _in_transaction(self, group: Group) -> None:
        producer = await self._started()
        await producer.begin_transaction()
        for one in group.records:
            sent = await producer.send_and_wait(
                self._settings.prefix + one.topic, one.value, key=one.key, partition=one.partition
            )
            self.ledger.taken[one.topic, one.partition, sent.offset] = one
        self.ledger.ghosts += len(group.records) if group.transaction != "commit" else 0
        if group.transaction == "commit":
            await producer.commit_transaction()
        elif group.transaction == "abort":
            await producer.abort_transaction()
        else:
            self.open = {one.partition for one in group.records}

    async def _end_open(self) -> None:
        if self.open and self._transactional is not None:
            await self._transactional.abort_transaction()
            self.open = set()

    async def _started(self) -> AIOKafkaProducer:
        if self._transactional is None:
            self._transactional = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap, transactional_id=f"{self._settings.prefix}stranger"
            )
            await self._transactional.start()
        return self._transactional
