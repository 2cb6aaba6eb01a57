"""Puts the bundled scenario onto the source topics, at a pace."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cached_property
from itertools import islice

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.data import scenario
from endocrine.pipeline.data.ingest.produce import message
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.clients import content_keys
from endocrine.pipeline.kafka.content_keys import ContentKeys
from endocrine.pipeline.local.live.folder import FeedPosition
from endocrine.pipeline.process.settings import Settings

RESUMED_S = 600.0
"""Seconds after its beginning at which a round that is still fed, or fed again, counts its times from now: calls that
are older than that would be stale."""
AWAY_PAUSE_S = 1.0
"""Pause before a record that the broker did not take is sent again, under the same id."""


class Feeder:
    """Feeds rounds of the scenario. `run` once.

    pace: records per second. rounds: how many, together with those that earlier runs fed. before: awaited with the
    partition of each record before it is sent. place: where to go on, and to note it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pace: float,
        rounds: int,
        note: Callable[[str], None],
        before: Callable[[int], Awaitable[None]] | None = None,
        place: FeedPosition | None = None,
    ) -> None:
        self.story = sum(1 for _ in scenario.lines())
        """Lines of one round."""
        self.sent = 0
        """Records that the broker took, in this run."""
        self.began = place.read() if place else 0
        """Lines that earlier runs sent."""
        self.total = max(0, rounds * self.story - self.began)
        """Records to send in this run."""
        self._settings = settings
        self._pace = pace
        self._note = note
        self._before = before
        self._place = place

    @cached_property
    def _keys(self) -> ContentKeys | None:
        return content_keys(self._settings)

    @property
    def round(self) -> int:
        """Number of the round that is fed, from 1; of the last one after it."""
        return max(0, self.began + self.sent - (self.sent == self.total)) // self.story + 1

    async def run(self) -> None:
        """Feed to the end, if there is one."""
        producer = connection.producer(
            self._settings,
            enable_idempotence=True,
            max_request_size=self._settings.topic_message_bytes,
        )
        await producer.start()
        try:
            await self._feed(producer)
        finally:
            await producer.stop()
            if self._keys is not None:
                await self._keys.stop()

    async def _feed(self, producer: AIOKafkaProducer) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        number, skipped = divmod(self.began, self.story)
        rest = skipped + self.total
        began = self._place.began() if self._place and skipped else None
        for count, scripted in enumerate(islice(scenario.repeat(start=number), skipped, rest), skipped):
            await asyncio.sleep(max(0.0, due - clock()))
            now = time.time()
            if began is None or count % self.story == 0 or now - began > RESUMED_S:
                began = now
            line = scenario.live(scripted, number + count // self.story, began)
            due = max(due + 1 / self._pace, clock() - 1.0)  # after a hold-up, catch up by a second at most
            if self._keys is not None:
                line = {**line, "value": await self._keys.closed(line["topic"], line["value"], producer)}
            key, value, headers = message(line, source="endocrine/scenario")
            if self._before:
                await self._before(partition_of(key.decode(), self._settings.partitions))
            while True:
                try:
                    await producer.send_and_wait(self._settings.prefix + line["topic"], value, key=key, headers=headers)
                    break
                except KafkaError as error:
                    self._note(f"the broker does not take records ({type(error).__name__}); trying again")
                    await asyncio.sleep(AWAY_PAUSE_S)
            self.sent += 1
            if self._place:
                self._place.write(self.began + self.sent, began)
