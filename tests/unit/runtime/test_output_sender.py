"""What waits for the same partition is sent together, in the order of the calls."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.runtime.errors import Fatal
from endocrine.pipeline.runtime.worker.output_sender import OutputSender
from waiting import until


class Batch:
    """Holds a few values; headers are kept beside them."""

    def __init__(self, most: int) -> None:
        self.values: list[bytes] = []
        self.headers: list[list[tuple[str, bytes]]] = []
        self._most = most

    def append(self, *, key: Any, value: bytes, timestamp: Any, headers: list[tuple[str, bytes]]) -> object | None:
        if len(self.values) == self._most or value == b"huge":
            return None
        self.values.append(value)
        self.headers.append(headers)
        return object()

    def close(self) -> None:
        pass


class Producer:
    """Acknowledges when it is asked to; notes what is sent."""

    def __init__(self, most: int = 10) -> None:
        self.sent: list[tuple[str, int, list[bytes]]] = []
        self.headers: list[list[tuple[str, bytes]]] = []
        self._most = most
        self._unacknowledged: list[asyncio.Future[None]] = []

    def create_batch(self) -> Batch:
        return Batch(self._most)

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> "asyncio.Future[None]":
        self.sent.append((topic, partition, batch.values))
        self.headers += batch.headers
        self._unacknowledged.append(asyncio.get_running_loop().create_future())
        return self._unacknowledged[-1]

    def acknowledge(self, error: Exception | None = None) -> None:
        waits = self._unacknowledged.pop(0)
        if error is None:
            waits.set_result(None)
        else:
            waits.set_exception(error)


def records(*values: str, derived: bool = True) -> list[OutputRecord]:
    return [OutputRecord("journal", 0, b"key", value.encode(), (("own", b"1"),), derived) for value in values]


def sending(sender: OutputSender, *values: str, topic: str = "journal", common: Any = ()) -> "asyncio.Task[None]":
    return asyncio.create_task(sender.send(topic, 0, records(*values), common))


async def test_records_of_callers_that_come_together_are_one_batch_each_with_its_own_headers():
    producer = Producer()
    sender = OutputSender(producer)
    tasks = [sending(sender, "a", common=(("cut", b"1"),)), sending(sender, "b", "c", common=(("cut", b"2"),))]
    await until(lambda: producer.sent)
    producer.acknowledge()
    await asyncio.gather(*tasks)
    assert producer.sent == [("journal", 0, [b"a", b"b", b"c"])]
    assert [dict(headers) for headers in producer.headers] == [
        {"own": b"1", "cut": b"1"},
        {"own": b"1", "cut": b"2"},
        {"own": b"1", "cut": b"2"},
    ]


async def test_what_comes_while_a_batch_is_on_its_way_goes_together_into_the_next_one():
    producer = Producer()
    sender = OutputSender(producer)
    first = sending(sender, "a")
    await until(lambda: producer.sent)
    later = [sending(sender, "b"), sending(sender, "c")]
    elsewhere = sending(sender, "x", topic="incidents")
    await until(lambda: len(producer.sent) == 2)  # another partition does not wait
    assert producer.sent == [("journal", 0, [b"a"]), ("incidents", 0, [b"x"])]
    producer.acknowledge()
    await first
    assert not any(task.done() for task in later)
    await until(lambda: len(producer.sent) == 3)
    producer.acknowledge()
    producer.acknowledge()
    await asyncio.gather(elsewhere, *later)
    assert producer.sent[2] == ("journal", 0, [b"b", b"c"])


async def test_records_that_fill_a_batch_go_on_in_the_next_one_before_those_of_later_callers():
    producer = Producer(most=2)
    sender = OutputSender(producer)
    tasks = [sending(sender, "a", "b", "c"), sending(sender, "d", "e")]
    for number in range(1, 4):
        await until(lambda number=number: len(producer.sent) == number)
        producer.acknowledge()
    await asyncio.gather(*tasks)
    assert [values for _, _, values in producer.sent] == [[b"a", b"b"], [b"c", b"d"], [b"e"]]


async def test_a_batch_that_cannot_be_sent_fails_its_callers_and_nothing_further_of_theirs_is_sent():
    producer = Producer(most=2)
    sender = OutputSender(producer)
    failed = sending(sender, "a", "b", "c")
    await until(lambda: producer.sent)
    good = sending(sender, "d")
    producer.acknowledge(KafkaError("away"))
    with pytest.raises(Fatal, match="journal/0: could not be sent"):
        await failed
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge()
    await good
    assert [values for _, _, values in producer.sent] == [[b"a", b"b"], [b"d"]]


async def test_a_record_that_fits_into_no_batch_fails_its_caller_alone():
    producer = Producer()
    sender = OutputSender(producer)
    tasks = [sending(sender, "huge"), sending(sender, "a")]
    with pytest.raises(Fatal, match="a record of 4 bytes does not fit into a batch"):
        await tasks[0]
    await until(lambda: producer.sent)
    producer.acknowledge()
    await tasks[1]
    assert producer.sent == [("journal", 0, [b"a"])]


async def test_of_a_caller_that_gives_up_while_it_waits_nothing_is_sent():
    producer = Producer()
    sender = OutputSender(producer)
    first = sending(sender, "a")
    await until(lambda: producer.sent)
    given_up, last = sending(sender, "b"), sending(sender, "c")
    await asyncio.sleep(0)
    given_up.cancel()
    producer.acknowledge()
    await first
    await until(lambda: len(producer.sent) == 2)
    producer.acknowledge()
    await last
    assert producer.sent[1] == ("journal", 0, [b"c"])


async def test_a_failure_that_is_none_of_kafkas_reaches_every_caller():
    producer = Producer()

    async def broken(*_: Any, **__: Any) -> None:
        raise ValueError("a fault of ours")

    producer.send_batch = broken  # type: ignore[assignment]
    tasks = [sending(OutputSender(producer), "a")]
    with pytest.raises(Fatal, match="a fault of ours"):
        await tasks[0]


async def test_however_many_wait_for_a_slow_broker_aiokafka_has_one_of_them_waiting_at_a_time():
    producer = Producer(most=1)  # nothing goes together: each of them needs a round trip of its own
    sender = OutputSender(producer)
    tasks = [sending(sender, f"{number}") for number in range(40)]
    for number in range(1, 41):
        await until(lambda number=number: len(producer.sent) >= number)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(producer.sent) == number, "a second batch of the partition would wait in aiokafka's queue"
        producer.acknowledge()
    await asyncio.gather(*tasks)
