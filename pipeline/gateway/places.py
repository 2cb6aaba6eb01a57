"""Records at known places of Kafka, for what the read models only point at."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from aiokafka import TopicPartition

from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

RecordPosition = tuple[str, int, int]
"""Topic without prefix, partition, offset."""
_SILENCE_S = 5.0
_AT_ONCE = asyncio.Semaphore(4)


async def records_at(settings: Settings, places: Iterable[RecordPosition]) -> dict[RecordPosition, Any]:
    """Return the records that are still at these places. Raises KafkaError, TimeoutError."""
    wanted = list(dict.fromkeys(places))
    found: dict[RecordPosition, Any] = {}
    if not wanted:
        return found
    async with _AT_ONCE:
        consumer = clients.reader(settings)
        try:
            await consumer.start()
            partitions = [TopicPartition(settings.prefix + topic, number) for topic, number, _ in wanted]
            clients.introduce(consumer, set(partitions))
            begins = await consumer.beginning_offsets(list(set(partitions)))
            ends = await consumer.end_offsets(list(set(partitions)))
            there = [
                (place, part)
                for place, part in zip(wanted, partitions, strict=True)
                if begins[part] <= place[2] < ends[part]
            ]
            # One record of each partition at a time: a span for each.
            while there:
                now: dict[TopicPartition, RecordPosition] = {}
                for place, part in there:
                    now.setdefault(part, place)
                there = [(place, part) for place, part in there if now[part] != place]
                spans = {part: (place[2], place[2] + 1) for part, place in now.items()}
                async with aclosing(clients.read_until(consumer, spans, silence_s=_SILENCE_S)) as pieces:
                    async for piece in pieces:
                        for part, records in piece.items():
                            for raw in records:
                                if raw.offset == now[part][2]:
                                    found[now[part]] = raw
        finally:
            await consumer.stop()
    return found
