"""What a follower of topics reads: batch after batch, for as long as it runs, over times in which no broker answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from structlog.typing import FilteringBoundLogger

HELD_MS = 5000
"""Milliseconds that the broker may hold a fetch that finds nothing; a record ends it at once, and all is fetched in one
session (`fetch_sessions`)."""
_PAUSE_S = 1.0


async def fetches(
    consumer: AIOKafkaConsumer, what: str, log: FilteringBoundLogger
) -> AsyncIterator[Mapping[TopicPartition, Sequence[Any]]]:
    """Yield the records of each fetch, without end. what: the records' name in the warning that a failed fetch writes.

    A failed fetch is tried again after a second: what the follower knows stays in force until a broker answers.
    """
    while True:
        try:
            fetched = await consumer.getmany(timeout_ms=HELD_MS)
        except KafkaError as error:
            log.warning(f"the broker gives no {what}; trying again", error=type(error).__name__)
            await asyncio.sleep(_PAUSE_S)
        else:
            yield fetched
