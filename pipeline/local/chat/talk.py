"""A conversation over the broker: opens turns, follows what becomes of them."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiokafka import TopicPartition

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.data.ingest.produce import message
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.name_reader import read_names
from endocrine.pipeline.local.chat.turn import TOPICS, Turn
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.process.settings import Settings

BY = "chat"
"""What records of ours name as their client, source or operator."""
_POLL_MS = 100


class Talk:
    """One identity's conversation. `start`, then `open` and `follow`; `stop`. Raises aiokafka's KafkaError."""

    def __init__(self, settings: Settings, identity: str, model: str | None) -> None:
        self.identity = identity
        self._settings = settings
        self._model = model
        self._session = f"chat-{uuid.uuid4().hex[:12]}"
        self._turn = 0
        self._partition = 0
        self._producer = connection.producer(settings, enable_idempotence=True)
        self._keys = clients.content_keys(settings)
        self._consumer = clients.consumer(settings, group_id=None, fetch_max_wait_ms=_POLL_MS)

    async def start(self) -> None:
        """Connect, and read from now on. Raises NameFault where the identity is no name."""
        names = await read_names(self._settings, known_seals(self._settings))
        self.identity = names.identity(self.identity)
        self._partition = partition_of(self.identity, self._settings.partitions)
        await self._producer.start()
        await self._consumer.start()
        prefix = self._settings.prefix
        places = [TopicPartition(prefix + topic, self._partition) for topic in (*TOPICS, "incidents")]
        await clients.assign_at_ends(self._consumer, places)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._producer.stop()
        if self._keys is not None:
            await self._keys.stop()

    async def open(self, prompt: str, signals: Sequence[Mapping[str, Any]] = ()) -> Turn:
        """Open a turn that we are to answer."""
        turn = Turn(f"{self._session}-{self._turn}")
        opened = {
            "kind": "opened",
            "audit_id": turn.audit_id,
            "session_id": self._session,
            "turn": self._turn,
            "client": BY,
            "model": self._model,
            "prompt": prompt,
            "respond": True,
            "signals": [dict(one) for one in signals] or None,
        }
        self._turn += 1
        await self.send("interactions", {name: value for name, value in opened.items() if value is not None})
        return turn

    async def send(self, topic: str, value: Mapping[str, Any]) -> None:
        """Send a record of this identity; it gets an id and the time."""
        whole = {"id": f"{BY}-{uuid.uuid4().hex}", "identity": self.identity, **value, "ts": time.time()}
        if self._keys is not None:
            whole = {**await self._keys.closed(topic, whole, self._producer)}
        key, content, headers = message({"topic": topic, "value": whole}, source=f"endocrine/{BY}")
        await self._producer.send_and_wait(
            self._settings.prefix + topic, content, key=key, headers=headers, partition=self._partition
        )

    async def follow(self, turn: Turn) -> bool:
        """Wait a little for records of the turn; whether any came."""
        news = False
        for place, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
            topic = place.topic.removeprefix(self._settings.prefix)
            for raw in records:
                try:
                    value = orjson.loads(raw.value or b"null")
                except ValueError:
                    continue
                if isinstance(value, dict):
                    news = turn.take(topic, value) or news
        return news
