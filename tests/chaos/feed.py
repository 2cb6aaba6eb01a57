"""Produces the inputs and keeps a ledger of what the broker has acknowledged."""

import asyncio
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from inputs import Input

from endocrine.pipeline.process.settings import Settings

TICK_S = 0.1


def fingerprint(key: bytes | None, value: bytes | None) -> bytes:
    """What the ledger keeps of a record."""
    return hashlib.blake2b(repr((key, value)).encode(), digest_size=8).digest()


class Feed:
    """Inputs at an uneven rate over `span_s` seconds, through whatever happens to the broker."""

    def __init__(self, settings: Settings, rng: random.Random, count: int, span_s: float) -> None:
        self.settings = settings
        self.sent = 0
        self.acknowledged = 0
        self.refused: Counter[str] = Counter()
        """Sends that failed, by error: their fate is unknown."""
        self.topics: Counter[str] = Counter()
        self.ledger: dict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)
        """(topic, partition) to offset to fingerprint."""
        self._rng = rng
        self._count = count
        self._per_tick = count / (span_s / TICK_S)

    async def run(self, inputs: Iterator[Input]) -> None:
        """Send all; returns when each is acknowledged or has failed."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.bootstrap, enable_idempotence=True, request_timeout_ms=120_000, linger_ms=5
        )
        await producer.start()
        try:
            due, pace = 0.0, 1.0
            while self.sent < self._count:
                if self._rng.random() < 0.05:
                    pace = self._rng.choice([0.1, 0.5, 1.0, 1.0, 1.5, 2.5])  # bursts and lulls
                due += self._per_tick * pace
                while due >= 1 and self.sent < self._count:
                    due -= 1
                    await self._send(producer, next(inputs))
                await asyncio.sleep(TICK_S)
            await producer.flush()
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, record: Input) -> None:
        self.sent += 1
        self.topics[record.topic] += 1
        mark = fingerprint(record.key, record.value)
        try:
            sent = await producer.send(
                self.settings.prefix + record.topic,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        except KafkaError as error:
            self.refused[type(error).__name__] += 1
            return

        def acknowledged(future: "asyncio.Future[Any]") -> None:
            if future.cancelled() or (error := future.exception()):
                self.refused["cancelled" if future.cancelled() else type(error).__name__] += 1
            else:
                self.acknowledged += 1
                self.ledger[record.topic, record.partition][future.result().offset] = mark

        sent.add_done_callback(acknowledged)

    def missing(self, logs: Any) -> list[str]:
        """Inputs that were acknowledged and are not where the broker acknowledged them."""
        faults = []
        for (topic, partition), offsets in self.ledger.items():
            log = logs[topic, partition]
            for raw in log:
                mark = offsets.pop(raw.offset, None)
                if mark is not None and mark != fingerprint(raw.key, raw.value):
                    faults.append(
                        f"{topic}/{partition} at offset {raw.offset} holds another record than was acknowledged"
                    )
            faults += [f"{topic}/{partition} at offset {offset}: acknowledged, and gone" for offset in offsets]
        return faults
