"""A Faust transport that hands whole fetched batches of one partition to the processors.

Stock Faust makes a task, an event and an acknowledgement per message; here a message never exists outside its batch,
and passes no channel: the manager delivers it to the processors that read its topic, in the order of the agents.
Offsets are not acknowledged through Faust: the checkpoints hold the truth, the manager commits for displays.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread as FaustThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Transport as FaustTransport

from endocrine.pipeline.kafka.clients import ISOLATION
from endocrine.pipeline.kafka.fetched_ends import Since
from endocrine.pipeline.kafka.fetching import bind, covered
from endocrine.pipeline.runtime.worker.handover import Handover

FETCHES_AT_ONCE = 4
"""Partitions' fetches of full size that one answer of the broker may hold: so much, compressed, waits in the thread."""
FLOW_S, UNASSIGNED_S = 1.0, 1.0
"""Seconds between looks at whether the flow has stopped, where nothing comes, and where no partition is ours."""


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

    async def fetch_into(self, handover: Handover[Mapping[Any, Any]]) -> None:
        """Hand over what is fetched, in this thread, until the flow stops."""
        consumer = self._ensure_consumer()
        while self.consumer.flow_active:
            active = self.consumer._get_active_partitions()
            if not active:
                await asyncio.sleep(UNASSIGNED_S)
            elif found := await self._fetch_records(consumer, active, timeout=FLOW_S):
                await handover.put(found)


class BatchConsumer(FaustConsumer):
    """Faust's consumer, draining batches instead of messages."""

    _thread: CommittedThread

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        handover = Handover(self._deliver)
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                fetching = self._thread.fetch_into(handover)
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fetching, self._thread.thread_loop))
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    def _deliver(self, found: Mapping[Any, Any]) -> None:
        """Deliver what was fetched. What was fetched while the flow stopped is fetched again after the rebalance's
        seek."""
        if not self.flow_active:
            return
        manager = self.app.manager
        try:
            for place, run in found.items():
                manager.deliver(Delivered(place.topic, place.partition, list(run), *covered(run), run.since))
        except Exception as error:
            manager.fail(error)

    async def perform_seek(self) -> None:
        """Seek to the checkpoints' offsets; the group's offsets are for displays only."""
        await self.app.manager.seek()

    async def commit_now(self, offsets: Mapping[Any, int]) -> bool:
        """Commit these offsets to the group."""
        return bool(await self._commit(offsets))


class BatchTransport(FaustTransport):
    """Faust's aiokafka transport with batches."""

    Consumer = BatchConsumer
