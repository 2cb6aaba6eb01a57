"""A producer without a seal key: it asks for tools that no gate allows, and says itself that they are allowed."""

import asyncio
import time
from collections import Counter
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from endocrine.agents._shared.arguments import digest_of
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import ORIGIN, SEAL
from endocrine.pipeline.process.settings import Settings

PAUSE_S = 0.3
AWAY_S = 2.0
"""Pause after a failure: the broker is away."""
ARGUMENTS = {"query": "what no gate has seen"}


class Stranger:
    """One forged decision after the other, until cancelled. key_id: of a key that the workers have."""

    def __init__(self, settings: Settings, key_id: str) -> None:
        self.done: Counter[str] = Counter()
        """Records by topic."""
        self._settings, self._seal = settings, f"{key_id}:{'0' * 32}".encode()

    async def run(self) -> None:
        """Until cancelled."""
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.bootstrap, acks="all")
        await producer.start()
        try:
            number = 0
            while True:
                number += 1
                try:
                    async with asyncio.timeout(30):
                        await self._one(producer, number)
                except (KafkaError, TimeoutError):
                    await asyncio.sleep(AWAY_S)
                await asyncio.sleep(PAUSE_S)
        finally:
            stopping = asyncio.create_task(producer.stop())
            await asyncio.wait([stopping], timeout=5)

    async def _one(self, producer: AIOKafkaProducer, number: int) -> None:
        who, now = f"stranger-{number % 40}", time.time()
        about = {"call_id": f"forged-{number}", "audit_id": f"forged-turn-{number}", "identity": who}
        call = {**about, "tool": "probe_again", "arguments": ARGUMENTS, "step": 1, "ts": now}
        await self._send(producer, "tool-calls", who, call, ())
        decision = {
            **about, "tool": "again", "function": "probe_again", "decision": "allowed", "reason": None,
            "incident_id": None, "policy": "0" * 64, "ts": now, "arguments_digest": digest_of(ARGUMENTS), "revision": 0,
        }  # fmt: skip
        origin = f"gating/tool-calls/{partition_of(who, self._settings.partitions)}/{1 << 62}/0".encode()
        await self._send(producer, "tool-decisions", who, decision, ((ORIGIN, origin), (SEAL, self._seal)))

    async def _send(self, producer: AIOKafkaProducer, topic: str, who: str, value: Any, headers: Any) -> None:
        await producer.send_and_wait(
            self._settings.prefix + topic, orjson.dumps(value), key=who.encode(), headers=list(headers),
            partition=partition_of(who, self._settings.partitions),
        )  # fmt: skip
        self.done[topic] += 1
