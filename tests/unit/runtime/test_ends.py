"""Log ends: many units ask, few questions are put, and none is answered from before it was put."""

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from endocrine.pipeline.runtime.worker.end_offsets import EndOffsets

A, B, C = (TopicPartition(name, 0) for name in "abc")


class Consumer:
    """Answers when told; the log grows by one with each record written."""

    def __init__(self) -> None:
        self.log = dict.fromkeys((A, B, C), 0)
        self.asked: list[set[TopicPartition]] = []
        self.answering = asyncio.Event()
        self.broken = False

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked.append(set(places))
        found = {place: self.log[place] for place in places}
        await self.answering.wait()
        if self.broken:
            raise KafkaConnectionError("away")
        return found


async def under_way() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_meanwhile_is_one_question_and_answered_as_of_after_it_was_put() -> None:
    consumer = Consumer()
    ends = EndOffsets(consumer)
    first = asyncio.create_task(ends.of([A]))
    await under_way()
    consumer.log[A] = 7
    later = [asyncio.create_task(ends.of(places)) for places in ([A], [B, A], [C])]
    await under_way()
    assert consumer.asked == [{A}]
    consumer.answering.set()
    assert await first == {A: 0}
    assert [await one for one in later] == [{A: 7}, {B: 0, A: 7}, {C: 0}]
    assert consumer.asked == [{A}, {A, B, C}]


async def test_a_question_that_fails_fails_for_those_who_put_it_and_the_next_is_asked_anew() -> None:
    consumer = Consumer()
    consumer.broken = True
    consumer.answering.set()
    ends = EndOffsets(consumer)
    with pytest.raises(KafkaConnectionError):
        await ends.of([A])
    consumer.broken = False
    assert await ends.of([A]) == {A: 0}


async def test_one_that_gives_up_takes_the_answer_from_nobody() -> None:
    consumer = Consumer()
    ends = EndOffsets(consumer)
    gone, stays = asyncio.create_task(ends.of([A])), asyncio.create_task(ends.of([A]))
    await under_way()
    gone.cancel()
    consumer.answering.set()
    assert await stays == {A: 0}
    with pytest.raises(asyncio.CancelledError):
        await gone
