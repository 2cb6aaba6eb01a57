"""Destroying the keys of a subject's content: what they encrypt on retained topics is gone for everybody."""

import time
from collections.abc import Collection, Sequence
from typing import Any

from endocrine.agents._shared.moving import opened
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import canonical
from endocrine.pipeline.data.live_states import live_states
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.process.settings import Settings

Json = dict[str, Any]
MEMORY = next(agent for agent in AGENTS if agent.name == "memory")


async def destroy_keys(settings: Settings, names: Sequence[str], memory_ids: Collection[str]) -> Json | None:
    """Delete all keys of a subject, by all of its names, and those of memories that are from it and have ended; return
    how many, and when. None where content is in clear and no key was ever made.

    A process that writes may go on with a key for a second; what it encrypts then is gone as well. Raises KeyFileError,
    KafkaError and TimeoutError.
    """
    keys = clients.content_keys(settings)
    if keys is None:
        return None
    states = await live_states(settings, {MEMORY.name: MEMORY}) if memory_ids else {}
    living = {opened(state)[0]["entry"]["memory_id"] for state in states.get(MEMORY.name, {}).values()}
    producer = connection.producer(settings, acks="all", enable_idempotence=True)
    try:
        await producer.start()
        await keys.refresh()
        ts = time.time()
        ended = [one for one in memory_ids if one not in living]
        records = keys.table.destroying([*(canonical(name) for name in names), *ended], ts)
        await keys.save(records, producer)
        await keys.refresh()
        return {"keys": len(records), "destroyed_at": ts if records else None}
    finally:
        await producer.stop()
        await keys.stop()
