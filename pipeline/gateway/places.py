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
_NEAR = 100
"""Records between two that are wanted that are read rather than sought past: a fetch costs more than they do."""
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
            by_place = {(part, place[2]): place for place, part in there}
            for spans in rounds((part, place[2]) for place, part in there):
                async with aclosing(clients.read_until(consumer, spans, silence_s=_SILENCE_S)) as pieces:
                    async for piece in pieces:
                        for part, records in piece.items():
                            for raw in records:
                                if (place := by_place.get((part, raw.offset))) is not None:
                                    found[place] = raw
        finally:
            await consumer.stop()
    return found


def rounds(wanted: Iterable[tuple[Any, int]]) -> list[dict[Any, tuple[int, int]]]:
    """Return spans of offsets (end exclusive) that hold all that is wanted, one of each partition in a round.

    >>> rounds([("a", 7), ("a", 5), ("a", 900), ("b", 1)])
    [{'a': (5, 8), 'b': (1, 2)}, {'a': (900, 901)}]
    """
    by_part: dict[Any, list[tuple[int, int]]] = {}
    for part, offset in sorted(wanted, key=lambda one: one[1]):
        spans = by_part.setdefault(part, [])
        if spans and offset - spans[-1][1] < _NEAR:
            spans[-1] = spans[-1][0], offset + 1
        else:
            spans.append((offset, offset + 1))
    most = max(map(len, by_part.values()), default=0)
    return [
        {part: spans[number] for part, spans in sorted(by_part.items()) if number < len(spans)}
        for number in range(most)
    ]
