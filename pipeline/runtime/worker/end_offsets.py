"""Log ends, asked for by many units of one process with few questions."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition


class EndOffsets:
    """What is asked while a question is under way goes, all together, into the next one.

    So an answer is never older than its question, and however many units ask, one request is under way at a time.
    consumer: aiokafka's, of no group.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._wanted: set[TopicPartition] = set()
        self._answer: asyncio.Future[Mapping[TopicPartition, int]] | None = None
        """To what is wanted; None when nothing is."""
        self._asking: asyncio.Task[None] | None = None

    async def of(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get. Raises aiokafka's KafkaError."""
        asked = tuple(places)
        self._wanted.update(asked)
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        answer = self._answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        found = await asyncio.shield(answer)  # one that gives up takes nothing from the others
        return {place: found[place] for place in asked}

    async def _ask(self) -> None:
        while (answer := self._answer) is not None:
            wanted, self._wanted, self._answer = self._wanted, set(), None
            try:
                answer.set_result(await self._consumer.end_offsets(wanted))
            except asyncio.CancelledError:
                answer.cancel()
                raise
            except Exception as error:
                answer.set_exception(error)
                answer.exception()  # nobody may wait any more
