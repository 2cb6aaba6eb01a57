"""How far each unit is, as the topics tell: the journal's runs against the ends of the source topics.

The connector leaves no journal: how far it is, its group's offsets tell.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from crew import Crew

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.tools.effect import ToolEffect
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.process.settings import Settings

POLL_S = 1.0


class Watch:
    """Follows the journal. lag: records that units have yet to read, as of the last look."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lag = 0
        self.batches = 0
        self._fronts: dict[tuple[str, int], dict[str, int]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._consumer = clients.reader(settings, request_timeout_ms=10_000)
        self._asker = clients.reader(settings, request_timeout_ms=10_000, isolation_level="read_uncommitted")
        """Where topics end with what is in open transactions."""
        self._open = 0
        """Partitions with an open transaction."""
        self._committed: Mapping[TopicPartition, Any] = {}
        """The workers' group's offsets: unlike the journal they pass a marker that is the last of a topic."""
        self._journal = [TopicPartition(f"{settings.prefix}journal", n) for n in range(settings.partitions)]
        self._places = [
            TopicPartition(settings.prefix + topic, n)
            for topic in {topic for agent in AGENTS for topic in agent.sources}
            for n in range(settings.partitions)
        ]
        self._ends: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()
        await self._asker.start()
        self._consumer.assign(self._journal)

    async def stop(self) -> None:
        """Disconnect."""
        for consumer in (self._consumer, self._asker):
            with suppress(Exception):
                await asyncio.wait_for(consumer.stop(), 10)

    async def look(self) -> bool:
        """Read what the journal got and the topics' ends. False when the broker does not answer."""
        try:
            async with asyncio.timeout(15):
                ends = await self._consumer.end_offsets([*self._places, *self._journal])
                latest = await self._asker.end_offsets(self._places)
                while True:
                    self._take(await self._consumer.getmany(timeout_ms=100))
                    positions = [await self._consumer.position(place) for place in self._journal]
                    if all(at >= ends[place] for at, place in zip(positions, self._journal, strict=True)):
                        break
        except (KafkaError, TimeoutError):
            return False
        self._ends = ends
        self._open = sum(latest[place] > ends[place] for place in self._places)
        self.lag = sum(behind for _, _, behind in self.behind())
        return True

    def _take(self, fetched: dict[Any, Any]) -> None:
        for raw in (raw for records in fetched.values() for raw in records):
            entry = orjson.loads(raw.value)
            unit = entry["agent"], entry["partition"]
            if entry["batch"] > self._numbers.get(unit, 0):
                self._numbers[unit] = entry["batch"]
                self.batches += 1
            consumer_lag = self._fronts.setdefault(unit, {})
            for topic, first, count in entry["runs"]:
                consumer_lag[topic] = max(consumer_lag.get(topic, 0), first + count)

    def behind(self) -> list[tuple[str, str, int]]:
        """(unit, topic, records yet to be read), where there are any."""
        behind = []
        for agent in AGENTS:
            for partition in range(self.settings.partitions):
                consumer_lag = self._fronts.get((agent.name, partition), {})
                for topic in agent.sources:
                    place = TopicPartition(self.settings.prefix + topic, partition)
                    end, committed = self._ends.get(place, 0), self._committed.get(place)
                    at = max(consumer_lag.get(topic, 0), committed.offset if committed is not None else 0)
                    if end > at:
                        behind.append((f"{agent.name}/{partition}", topic, end - at))
        return behind

    async def until_at_rest(self, crew: Crew, patience_s: float, limit_s: float, tell: Callable[[str], None]) -> str:
        """Wait until every unit has read all there is, every worker has its share, and the connector has answered.

        Empty, or what is in the way.

        patience_s: how long nothing may move. limit_s: how long it may take in all.
        """
        begun = moved = time.monotonic()
        last: Any = None
        calm = 0
        status = "the broker does not answer"
        while True:
            if await self.look():
                status = await self._groups(crew) or self._shown(self.behind())
                status = status or (f"{self._open} partitions have an open transaction" if self._open else "")
                now = self.batches, tuple(sorted(self._ends.items())), len(crew.exits)
                calm = calm + 1 if not status and now == last else 0
                if now != last:
                    last, moved = now, time.monotonic()
                tell(status or "all is read")
                if calm >= 3:
                    return ""
            waited = time.monotonic() - begun
            if status and time.monotonic() - moved > patience_s:
                return f"nothing moves for {patience_s:.0f} s: {status}"
            if waited > limit_s:
                return f"not at rest after {limit_s:.0f} s: {status or 'records still come'}"
            await asyncio.sleep(POLL_S)

    @staticmethod
    def _shown(behind: list[tuple[str, str, int]]) -> str:
        shown = "; ".join(f"{unit} has {count} of {topic} to read" for unit, topic, count in behind[:6])
        return shown + (f"; and {len(behind) - 6} more" if len(behind) > 6 else "")

    async def _groups(self, crew: Crew) -> str:
        """What is wrong with a group; empty when every worker has a share, and the connector has answered all."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap, request_timeout_ms=10_000)
        try:
            async with asyncio.timeout(15):
                await admin.start()
                (answer,) = await admin.describe_consumer_groups([self.settings.group])
                answered = await admin.list_consumer_group_offsets(f"{self.settings.group}.{ToolEffect.name}")
                self._committed = await admin.list_consumer_group_offsets(self.settings.group)
        except (KafkaError, TimeoutError) as error:
            return f"the groups cannot be described: {error!r}"
        finally:
            await admin.close()
        return self._workers(answer.groups[0], len(crew.up())) or self._connector(answered)

    @staticmethod
    def _workers(group: Sequence[Any], workers: int) -> str:
        _, _, state, _, _, members, *_ = group
        idle = [member[1] for member in members if len(member[-1]) < 10]
        if state == "Stable" and len(members) == workers and not idle:
            return ""
        return f"the group is {state} with {len(members)} members, {len(idle)} without a share, of {workers} workers"

    def _connector(self, answered: Mapping[TopicPartition, Any]) -> str:
        left = 0
        for partition in range(self.settings.partitions):
            place = TopicPartition(self.settings.prefix + ToolEffect.requests, partition)
            upto = answered[place].offset if place in answered else 0
            left += self._ends[place] - max(0, upto)
        return f"the connector has {left} of {ToolEffect.requests} to answer" if left else ""
