"""A Faust transport that hands whole fetched batches of one partition to the processors.

Stock Faust makes a task, an event and an acknowledgement per message; here a message never exists outside its batch,
and passes no channel: the manager delivers it to the processors that read its topic, in the order of the agents.
Offsets are not acknowledged through Faust: the checkpoints hold the truth, the manager commits for displays.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from faust.transport.conductor import Conductor as FaustConductor
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread as FaustThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Transport as FaustTransport

from endocrine.pipeline.kafka.clients import ISOLATION
from endocrine.pipeline.kafka.fetched_ends import Since
from endocrine.pipeline.kafka.fetching import bind, covered

FETCHES_AT_ONCE = 4
"""Partitions' fetches of full size that one answer of the broker may hold: so much, compressed, waits in the thread."""


class Delivered(NamedTuple):
    """What the manager delivers: records of one partition, as fetched."""

    topic: str
    """With prefix, as Kafka names it."""
    partition: int
    records: Sequence[Any]
    """All that can be read of the offsets covered."""
    first_offset: int
    """The first offset covered."""
    next_offset: int
    """The one after the last."""
    since: Since | None = None
    """When they came."""


class CommittedThread(FaustThread):
    """Faust's consumer thread, with a consumer as all of ours are."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        settings = self.app.manager.settings
        bind(
            consumer,
            isolation_level=ISOLATION,
            max_batch_bytes=settings.max_batch_bytes,
            fetch_max_bytes=FETCHES_AT_ONCE * settings.topic_message_bytes,
        )
        return consumer


class BatchConsumer(FaustConsumer):
    """Faust's consumer, draining batches instead of messages."""

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                records, _ = await self._wait_next_records(timeout=1.0)
                if not records or not self.flow_active:
                    # What was fetched while the flow stopped is fetched again after the rebalance's seek.
                    await asyncio.sleep(0)
                    continue
                for place, run in records.items():
                    await self.callback(Delivered(place.topic, place.partition, list(run), *covered(run), run.since))
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def perform_seek(self) -> None:
        """Seek to the checkpoints' offsets; the group's offsets are for displays only."""
        await self.app.manager.seek()

    async def commit_now(self, offsets: Mapping[Any, int]) -> bool:
        """Commit these offsets to the group."""
        return bool(await self._commit(offsets))


class BatchConductor(FaustConductor):
    """Passes each batch to the manager, whatever Faust's channels are: they say which topics are subscribed to."""

    def _compile_message_handler(self) -> Any:
        async def on_batch(batch: Delivered) -> None:
            self.app.manager.deliver(batch)

        return on_batch

    def _build_handler(self, tp: Any, channels: Any) -> Any:
        return self.on_message


class BatchTransport(FaustTransport):
    """Faust's aiokafka transport with batches."""

    Consumer = BatchConsumer
    Conductor = BatchConductor
