"""Sends outputs so that what waits for the same partition goes together, in one batch.

aiokafka sends one batch of a partition at a time, and one request to a broker. All agents of a partition number write
their journal records to one partition: as a batch each, a turn that eight agents read would take a round trip after the
other for them, and the decision of the next one would wait behind these.

It is also what keeps a slow broker from ending a worker. `add_batch` of aiokafka 0.14 lets callers of one partition
wait for each other, and takes from the 40 s of each, at every round trip, all that it has waited so far instead of what
this round trip took: forty callers and a quarter of a second a round trip are `KafkaTimeoutError` after 4.5 s. Here a
partition has one caller at a time, who finds its queue empty.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka.errors import KafkaError

from endocrine.pipeline.core.records import Headers, OutputRecord
from endocrine.pipeline.runtime.errors import Fatal

Place = tuple[str, int]
"""Topic with prefix, and partition."""


class _Waiting:
    """Records of one caller. done: set when all are acknowledged, or when they could not be sent."""

    __slots__ = ("common", "done", "records", "sent")

    def __init__(self, records: Sequence[OutputRecord], common: Headers) -> None:
        self.records, self.common = records, common
        self.sent = 0
        """How many of them are in batches that were sent."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """Return have the caller raise this, unless it has given up."""
        if not self.done.done():
            self.done.set_exception(error)


class OutputSender:
    """Sends records in the order of their partition, callers among each other in the order of their calls.

    producer: aiokafka's.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._waiting: dict[Place, deque[_Waiting]] = {}
        """Of partitions that are being sent to."""
        self._sending: set[asyncio.Task[None]] = set()

    async def send(self, topic: str, partition: int, records: Sequence[OutputRecord], common: Headers) -> None:
        """Send these in order; return when all are acknowledged. Raises Fatal when one could not be sent.

        A caller that is cancelled has no further batch of its own sent.
        """
        if not records:
            return
        one = _Waiting(records, common)
        waiting = self._waiting.get((topic, partition))
        if waiting is not None:
            waiting.append(one)
        else:
            self._waiting[topic, partition] = deque((one,))
            task = asyncio.create_task(self._drain((topic, partition)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        await one.done

    async def _drain(self, place: Place) -> None:
        """Send what waits for a partition, batch after batch, until nothing does.

        One batch at a time: were a later one to land without an earlier one, a reader's watermarks would drop the
        earlier one when it is produced again.
        """
        waiting = self._waiting[place]
        try:
            while waiting:
                batch, parts = self._filled(place, waiting)
                if parts:
                    await self._send(place, batch, parts)
        except Exception as error:
            _fail(place, waiting, error)
        except asyncio.CancelledError as error:
            _fail(place, waiting, error)
            raise
        finally:
            del self._waiting[place]

    def _filled(self, place: Place, waiting: deque[_Waiting]) -> tuple[Any, list[_Waiting]]:
        """A batch of what waits first, and whose records are in it."""
        batch, parts = self._producer.create_batch(), list[_Waiting]()
        for one in tuple(waiting):
            if one.done.done() or one.sent == len(one.records):
                waiting.remove(one)
                continue
            before = one.sent
            whole = _append(batch, one)
            if one.sent > before:
                parts.append(one)
            elif not parts:
                size = len(one.records[one.sent].value or b"")
                one.fail(Fatal(f"{place[0]}: a record of {size} bytes does not fit into a batch"))
            if not whole:
                break
        return batch, parts

    async def _send(self, place: Place, batch: Any, parts: Sequence[_Waiting]) -> None:
        batch.close()
        try:
            await (await self._producer.send_batch(batch, place[0], partition=place[1]))
        except KafkaError as error:
            _fail(place, parts, error)
            return
        for one in parts:
            if one.sent == len(one.records) and not one.done.done():
                one.done.set_result(None)


def _fail(place: Place, callers: Iterable[_Waiting], error: BaseException) -> None:
    for one in callers:
        one.fail(Fatal(f"{place[0]}/{place[1]}: could not be sent: {error!r}"))


def _append(batch: Any, one: _Waiting) -> bool:
    """Append what is left of a caller's records; whether all went in."""
    records, common, append = one.records, one.common, batch.append
    for number in range(one.sent, len(records)):
        out = records[number]
        headers = [*out.own, *common] if out.derived else list(out.own)
        if append(key=out.key, value=out.value, timestamp=None, headers=headers) is None:
            return False
        one.sent = number + 1
    return True
