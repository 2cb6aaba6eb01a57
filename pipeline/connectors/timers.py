"""The timekeeper: writes `tick` commands when the wall clock passes a deadline that an agent waits for, nothing else.

Agents see event time only. Where a deadline must pass although no further record comes - a gate that is down, a person
who does not answer, a connector that was killed - the tick is the record that lets it pass, and so it is in replay.
It keeps no state: at its start it reads back as far as the longest wait. Ticks have ids of their deadlines: sent by two
timekeepers, or again after a restart, they are copies of one.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import orjson
import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.deadlines import AGAIN_S, BY, Deadlines, Tick, Waits
from endocrine.pipeline.connectors.prerequisites import prerequisites
from endocrine.pipeline.connectors.process import UNUSABLE, serve
from endocrine.pipeline.connectors.waits import WaitsInForce, waits_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.cloud_events import cloud_event
from endocrine.pipeline.core.records import SEAL
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.event_loop import run
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.health import Health, Part, polling_health
from endocrine.pipeline.views.metrics.registry import Metrics

TOPICS = (
    "interactions",
    "modulations",
    "incidents",
    "tool-calls",
    "tool-decisions",
    "tool-results",
    "model-requests",
    "model-replies",
)
_POLL_MS, _IDLE_POLL_MS = 250, 1000
"""How long a look for records lasts: while a deadline is ahead, and while none is."""
_MARGIN_S = 60.0
"""Seconds read back beyond the longest wait."""
_PAUSE_S = 1.0
log = structlog.get_logger(__name__)


class Timekeeper(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs until stopped; several share the partitions. After `run`, `failure` holds what made it stop, or None."""

    def __init__(
        self,
        settings: Settings,
        waits: Waits,
        *,
        clock: Callable[[], float] = time.time,
        seals: Seals | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._looped = time.monotonic()
        if metrics is not None:
            metrics.roles[BY] = self.health
        self._seals = load_seals(settings) if seals is None else seals
        self._waits = WaitsInForce(waits)
        self._clock = clock
        self._names = {settings.prefix + topic: topic for topic in TOPICS}
        self._deadlines: dict[int, Deadlines] = {}
        self._behind: dict[TopicPartition, int] = {}
        """Log ends at the time of assignment that are not reached yet: until then nothing of the partition expires."""
        self._placed: set[TopicPartition] = set()
        self._stop = asyncio.Event()
        self.failure: BaseException | None = None
        self.ready = asyncio.Event()
        """Set once partitions were read up to where they ended at assignment."""

    def health(self) -> Health:
        """Return the health as it is now. May be called from another thread."""
        deadlines = Part("ok", {"partitions": len(self._deadlines), "catching_up": len(self._behind)})
        return polling_health(self._looped, self._settings, ready=self.ready.is_set(), deadlines=deadlines)

    async def follow(self, policy: Policy) -> None:
        """Go by the waits of another policy from now on."""
        self._waits.follow(policy, self._clock())

    def stop(self) -> None:
        """Ask it to stop."""
        self._stop.set()

    async def run(self) -> None:
        """Run until asked to stop, or until the broker makes going on impossible."""
        settings = self._settings
        self._consumer = clients.consumer(
            settings,
            group_id=f"{settings.group}.{BY}",
            group_instance_id=f"{settings.instance}.{BY}" if settings.instance else None,
            auto_offset_reset="latest",
            # One partition number of all topics at one member: what settles a deadline lies beside what set it.
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 4),
        )
        self._producer = connection.producer(settings, acks="all", enable_idempotence=True)
        self._consumer.subscribe(list(self._names), listener=self)
        try:
            asked, work = asyncio.create_task(self._stop.wait()), asyncio.create_task(self._work())
            await asyncio.wait([asked, work], return_when=asyncio.FIRST_COMPLETED)
            await cancelled([asked, work])
            if not work.cancelled() and isinstance(error := work.exception(), Exception):
                self.failure = error
        except (KafkaError, OSError) as error:
            self.failure = error
        finally:
            for client in (self._consumer, self._producer):
                with suppress(Exception):
                    await asyncio.wait_for(client.stop(), 10)
        if self.failure is not None:
            log.error("the timekeeper must stop", error=f"{type(self.failure).__name__}: {self.failure}")

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Forget these partitions: others keep their time."""
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Begin these partitions: all deadlines are placed anew."""
        self._forget(assigned)

    def _forget(self, places: list[TopicPartition]) -> None:
        for place in places:
            self._placed.discard(place)
            self._behind.pop(place, None)
            self._deadlines.pop(place.partition, None)

    async def _work(self) -> None:
        await self._producer.start()
        await self._consumer.start()
        while True:
            self._looped = time.monotonic()
            try:
                await self._place()
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("the timekeeper waits for the broker", error=repr(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            if any(deadlines.full for deadlines in self._deadlines.values()):
                await asyncio.sleep(_POLL_MS / 1000)  # bounded: what waits passes, then there is room again
            else:
                for place, records in (await self._consumer.getmany(timeout_ms=self._poll_ms)).items():
                    if place in self._placed:
                        for record in records:
                            self._observe(place, record)
            await self._catch_up()
            await self._send_expired()

    @property
    def _poll_ms(self) -> int:
        ahead = any(deadlines.next_wall is not None for deadlines in self._deadlines.values())
        return _POLL_MS if ahead or self._behind else _IDLE_POLL_MS

    async def _place(self) -> None:
        """Go back as far as the longest wait reaches."""
        places = sorted(self._consumer.assignment() - self._placed)
        if not places:
            return
        since = int((self._clock() - self._waits.longest_s - AGAIN_S[-1] - _MARGIN_S) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, max(0, since)))
        ends = await self._consumer.end_offsets(places)
        for place in places:
            at = ends[place] if found[place] is None else found[place].offset
            try:
                self._consumer.seek(place, at)
            except IllegalStateError:
                continue  # taken from us while we asked
            self._placed.add(place)
            self._deadlines.setdefault(place.partition, Deadlines(self._waits.of))
            if at < ends[place]:
                self._behind[place] = ends[place]

    def _observe(self, place: TopicPartition, record: ConsumerRecord) -> None:
        topic = self._names[place.topic]
        if CATALOGUE[topic].ours and not self._seals.valid(topic, record, dict(record.headers)):
            return  # a dead letter: no agent waits for it
        try:
            value = orjson.loads(record.value or b"null")
            CATALOGUE[topic].validate(value)
        except ValueError:
            return  # a dead letter: no agent waits for it
        self._deadlines[place.partition].observe(topic, value, record.timestamp / 1000)

    async def _catch_up(self) -> None:
        for place, end in list(self._behind.items()):
            try:
                if await self._consumer.position(place) >= end:
                    self._behind.pop(place, None)
            except IllegalStateError:
                self._behind.pop(place, None)
        if self._placed and not self._behind:
            self.ready.set()

    async def _send_expired(self) -> None:
        unready = {place.partition for place in self._behind}
        sent = [
            await self._send(partition, tick)
            for partition, deadlines in list(self._deadlines.items())
            if partition not in unready
            for tick in deadlines.expired(self._clock())
        ]
        for future in sent:
            await future

    async def _send(self, partition: int, tick: Tick) -> "asyncio.Future[object]":
        value = {"id": tick.id, "identity": tick.identity, "by": BY, "ts": tick.ts, "kind": "tick"}
        key, content, ce_id = tick.identity.encode(), orjson.dumps(value), tick.id.encode()
        headers = cloud_event(ce_id, f"endocrine/{BY}", CATALOGUE["commands"].ce_type, key, tick.ts)
        headers.append((SEAL, self._seals.seal("commands", partition, key, content, ce_id)))
        topic = self._settings.prefix + "commands"
        future: asyncio.Future[object] = await self._producer.send(
            topic, content, key=key, partition=partition, headers=headers
        )
        return future


def main(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 the policy cannot be used."""
    if (found := prerequisites(settings, "timekeeper")) is None:
        return UNUSABLE
    policy, seals, metrics = found
    timekeeper = Timekeeper(settings, waits_of(policy), seals=seals, metrics=metrics)
    follow = partial(PolicyFollower, settings, seals, policy, timekeeper.follow)
    return run(serve(settings, "timekeeper", timekeeper, on_ready, follow))
