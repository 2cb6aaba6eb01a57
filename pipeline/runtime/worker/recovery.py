"""Our takeover where Faust recovers its tables.

Faust's recovery reads changelogs up to an end it looked up before any epoch record was written, one event at a time. A
unit's takeover needs the opposite: append the epoch record first, then read up to it. And Faust's loop ends for good,
without a log event, when a wait in it times out or is cancelled by a revocation: the worker would keep its partitions
and never read them again. So the loop is ours too.
"""

import asyncio

import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery
from mode import Service

log = structlog.get_logger(__name__)
AGAIN_S = 1.0
"""Seconds before a takeover that the broker did not let through is tried again."""
_PASSING = (IllegalStateError, KafkaError, asyncio.TimeoutError)
"""A partition taken away meanwhile, a broker that is away or slow."""


class TakeoverRecovery(FaustRecovery):
    """Faust's recovery service with the units' takeover as its only work."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _restart_recovery(self) -> None:
        """One takeover per assignment; a newer assignment ends the one under way. Ends when the service stops."""
        while not await self.wait_for_stopped(self.signal_recovery_start):
            self.signal_recovery_start.clear()
            taking = asyncio.create_task(self._until_taken_over(self._generation_id))
            ends = [asyncio.create_task(end) for end in (self.signal_recovery_start.wait(), self.wait_until_stopped())]
            await asyncio.wait([taking, *ends], return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
            if not taking.done():
                await self.app.manager.stop_processors()
                taking.cancel()
                await asyncio.wait([taking])
            if not taking.cancelled() and (error := taking.exception()) is not None:
                self.app.manager.fail(error)

    async def _until_taken_over(self, generation: int) -> None:
        while self.app.consumer_generation_id == generation:
            try:
                return await self._take_over(generation)
            except _PASSING as error:
                log.warning("taking over again", reason=f"{type(error).__name__}: {error}")
                await asyncio.sleep(AGAIN_S)

    async def _take_over(self, generation: int) -> None:
        """Have the units take over, then let records in: what Faust does when its tables are recovered."""
        app, consumer = self.app, self.app.consumer
        self._set_recovery_started()
        if not await app.manager.recover(consumer.assignment()) or app.consumer_generation_id != generation:
            return  # another rebalance is under way and comes through here
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        consumer.resume_partitions({place for place in consumer.assignment() if not self._is_changelog_tp(place)})
        await asyncio.wait_for(consumer.perform_seek(), app.conf.broker_request_timeout)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        if app.consumer_generation_id == generation:
            app.manager.resume()


class TableManager(FaustTableManager):
    """Faust's table manager with our recovery."""

    async def on_start(self) -> None:
        """Start at once: Faust waits a second for tables that agents might still add; ours are wired already."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> FaustRecovery:
        if self._recovery is None:
            self._recovery = TakeoverRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
