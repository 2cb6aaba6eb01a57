"""A producer that writes inputs in transactions: some are committed, some aborted, some left open until the broker
aborts them. What is not committed must be seen by nobody."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from feed import fingerprint
from inputs import Input

from endocrine.pipeline.process.settings import Settings

TIMEOUT_MS = 5_000
"""After which the broker aborts what a producer left open."""
PAUSE_S = 0.5
AWAY_S = 2.0
"""Pause after a failure: the broker is away."""


class Transactions:
    """Transactions one after the other, until stopped. Where the broker is away their fate is unknown."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.done: Counter[str] = Counter()
        """By what became of them: committed, aborted, left open, unknown."""
        self.committed: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
        """(topic, partition) to offset to fingerprint, of what the broker acknowledged as committed."""
        self.aborted: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
        """The same of what it acknowledged as aborted."""
        self._settings, self._rng = settings, rng

    async def run(self, inputs: Iterator[Input]) -> None:
        """Until cancelled."""
        for number, record in enumerate(inputs):
            name = f"chaos-transactions-{number % 3}"  # taken over from one that left its transaction open
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap, transactional_id=name, transaction_timeout_ms=TIMEOUT_MS
            )
            records = [record, *(next(inputs) for _ in range(self._rng.randrange(3)))]
            try:
                async with asyncio.timeout(30):
                    await self._one(producer, records)
            except (KafkaError, TimeoutError, ValueError):
                self.done["unknown"] += 1
                await asyncio.sleep(AWAY_S)
            finally:
                stopping = asyncio.create_task(producer.stop())
                await asyncio.wait([stopping], timeout=5)
                if stopping.done() and not stopping.cancelled():
                    stopping.exception()  # seen: it had lost its broker
            await asyncio.sleep(PAUSE_S * self._rng.random())

    async def _one(self, producer: AIOKafkaProducer, records: list[Input]) -> None:
        await producer.start()
        await producer.begin_transaction()
        sent: list[tuple[tuple[str, int], int, bytes]] = []
        for one in records:
            place = (one.topic, one.partition)
            made = await producer.send_and_wait(
                self._settings.prefix + one.topic, one.value, key=one.key, partition=one.partition,
                headers=list(one.headers),
            )  # fmt: skip
            sent.append((place, made.offset, fingerprint(one.key, one.value)))
        dice = self._rng.random()
        if dice < 0.5:
            await producer.commit_transaction()
            self._note("committed", self.committed, sent)
        elif dice < 0.8:
            await producer.abort_transaction()
            self._note("aborted", self.aborted, sent)
        else:
            self.done["left open"] += 1

    def _note(self, fate: str, ledger: Any, sent: list[tuple[tuple[str, int], int, bytes]]) -> None:
        self.done[fate] += 1
        for place, offset, mark in sent:
            ledger[place][offset] = mark

    def findings(self, logs: Any) -> tuple[list[str], list[str]]:
        """What was committed and is gone; what was aborted and is there."""
        lost, seen = [], []
        for (topic, partition), offsets in self.committed.items():
            there = {raw.offset: fingerprint(raw.key, raw.value) for raw in logs[topic, partition]}
            lost += [
                f"{topic}/{partition} at offset {offset}: committed, and gone"
                for offset, mark in offsets.items()
                if there.get(offset) != mark
            ]
        for (topic, partition), offsets in self.aborted.items():
            both = offsets.keys() & {raw.offset for raw in logs[topic, partition]}
            seen += [f"{topic}/{partition} at offset {offset}: aborted, and seen" for offset in both]
        return lost, seen
