"""Reads what the agents derive, and how far they are: a plain consumer without a group, and one that asks for log ends.

Two consumers, because a broker answers one connection in order: a question would wait behind a fetch that waits.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import ConsumerRecord

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import dead_letters_of
from endocrine.pipeline.core.journal import journal_entry
from endocrine.pipeline.kafka.clients import introduce, reader
from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.fetching import covered, hold_fetches
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.consumer_lag import ConsumerLag, Where
from endocrine.pipeline.views.event import Event, event_of
from endocrine.pipeline.views.status.lag import note_committed

HISTORY = {"style-tables": 2000, "attribution-states": 2000, "bonds": 2000, "modulations": 20, "tool-decisions": 20}
"""Records read per partition of the time before, for what the view shows at once; nothing of other topics."""
FETCH_WAIT_MS = 100
"""How long the broker may hold a fetch that finds nothing (`hold_fetches`)."""
IDLE_WAIT_MS = 1000
"""The same once nothing came for IDLE_S."""
IDLE_S = 3.0
LOOK_S = 1.0
"""Seconds between looks at the group's committed offsets and at log ends."""
IDLE_LOOK_S = 10.0
"""The same at most once nothing came for IDLE_S: a record that comes ends the wait."""
SETTLE_S = 0.25
"""Seconds after which ends are asked for again though nothing moved."""


class Watcher:
    """Start it, then `run` it; `deliver` gets every event, in the order of the broker's append times per fetch.

    whole: read every topic from its beginning (topics that were just made) instead of the little that the view shows.
    """

    def __init__(self, settings: Settings, agents: Iterable[Agent], deliver: Callable[[Event], None], *, whole: bool):
        agents = tuple(agents)
        self.consumer_lag = ConsumerLag(agents)
        self.ends: dict[Where, int] = {}
        """Log ends of the topics that agents read, as last asked for."""
        self._sources = sorted({topic for agent in agents for topic in agent.sources})
        derived = {topic for agent in agents for topic in agent.targets}
        dead = {dead_letters_of(topic) for topic in self._sources if CATALOGUE[topic].owner}
        self._watched = sorted(derived | dead | {"journal"})
        self._settings, self._agents = settings, agents
        self._deliver = deliver
        self._whole = whole
        self._began: dict[TopicPartition, int] = {}
        self._delivered: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        self._heard = time.monotonic()
        self._came = asyncio.Event()
        self._reader = reader(settings, fetch_max_wait_ms=FETCH_WAIT_MS)
        self._asker = reader(settings)
        self._admin = admin_client(settings)

    async def start(self) -> None:
        """Connect and take position. Raises aiokafka's KafkaError when the broker does not answer."""
        for client in (self._reader, self._asker, self._admin):
            await client.start()
        places = self._places(self._watched)
        introduce(self._asker, self._places({*self._watched, *self._sources}))
        begins = await self._asker.beginning_offsets(places)
        self._began = await self._asker.end_offsets(places)
        self._reader.assign(places)
        for place in places:
            kept = HISTORY.get(self._name(place), 0)
            self._reader.seek(place, begins[place] if self._whole else max(begins[place], self._began[place] - kept))
        for place, offset in (await self._asker.beginning_offsets(self._places(self._sources))).items():
            self.consumer_lag.at_least((self._name(place), place.partition), offset)
        await self._look()

    async def stop(self) -> None:
        """Disconnect."""
        for client in (self._reader, self._asker):
            with suppress(KafkaError):
                await client.stop()
        await self._admin.close()

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._keep_looking())

    async def settled(self, partition: int | None = None) -> None:
        """Return when nothing is left to derive (in this partition): all that was acknowledged before is through."""
        places = self._places(self._sources, partition)
        while True:
            before = self.consumer_lag.copy()
            self._moved.clear()
            ends = await self._ends(places)
            if before.settled(ends):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    await self._moved.wait()

    async def caught_up(self) -> None:
        """Return when every record that derived topics hold now was delivered. Only where the whole is read."""
        places = self._places(self._watched)
        ends = await self._asker.end_offsets(places)
        while any(self._delivered.get(place, 0) < end for place, end in ends.items()):
            self._moved.clear()
            await self._moved.wait()

    @property
    def _idle(self) -> bool:
        return not self._whole and time.monotonic() - self._heard > IDLE_S

    async def _read(self) -> None:
        while True:
            hold_fetches(self._reader, IDLE_WAIT_MS if self._idle else FETCH_WAIT_MS)
            fetched: Mapping[TopicPartition, list[ConsumerRecord]] = await self._reader.getmany(timeout_ms=1000)
            records = [record for part in fetched.values() for record in part]
            if records:
                self._heard = time.monotonic()
                self._came.set()
            for record in sorted(records, key=lambda record: record.timestamp):
                place = TopicPartition(record.topic, record.partition)
                name = record.topic.removeprefix(self._settings.prefix)
                if name == "journal":
                    if (entry := journal_entry(record.value)) is not None:
                        self.consumer_lag.journal(entry)
                elif event := event_of(name, record, self._whole or record.offset >= self._began[place]):
                    self._deliver(event)
            self._delivered |= {place: covered(part)[1] for place, part in fetched.items()}
            self._moved.set()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self._idle:
                self._came.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_LOOK_S - LOOK_S):
                        await self._came.wait()
            with suppress(KafkaError):  # the figures stay as they were until it answers again
                await self._look()

    async def _look(self) -> None:
        with suppress(GroupCoordinatorNotAvailableError):  # a node that has just started
            await note_committed(self._admin, self._settings, self._agents, self.consumer_lag)
        self.ends = await self._ends(self._places(self._sources))

    async def _ends(self, places: list[TopicPartition]) -> dict[Where, int]:
        ends = await self._asker.end_offsets(places)
        return {(self._name(place), place.partition): offset for place, offset in ends.items()}

    def _places(self, topics: Iterable[str], partition: int | None = None) -> list[TopicPartition]:
        numbers = range(self._settings.partitions) if partition is None else (partition,)
        return [TopicPartition(self._settings.prefix + topic, number) for topic in topics for number in numbers]

    def _name(self, place: TopicPartition) -> str:
        return str(place.topic.removeprefix(self._settings.prefix))
