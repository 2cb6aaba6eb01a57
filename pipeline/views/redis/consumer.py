"""From Kafka to Redis: one plain consumer in a group of its own, independent of the agents.

1. Place: go to the position that Redis holds for each partition, the beginning where it holds none.
2. Fetch: records that are fetched before their partition was placed are dropped.
3. Apply: a run of records as one script; guards drop what is applied already. Wait for Redis, however long.
4. Commit: tell the group, for lag displays only; the truth is the position in Redis.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from endocrine.pipeline.core.decode import Malformed
from endocrine.pipeline.core.records import SourceRecord
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.fetching import covered, hold_fetches
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.seal_keys import known_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.health import Health, Part, polling_health
from endocrine.pipeline.views.redis.erasing import ErasedSubjects
from endocrine.pipeline.views.redis.store import NOTHING, Batch, Store
from endocrine.pipeline.views.redis.writes import PROVED, TOPICS, writes_of

_IDLE_MS = 1000
"""How long a fetch waits."""
_LOOK_EACH, _LOOK_SELDOM = 5, 5
"""A quiet projection looks after so many fetches, each, whether Redis still holds what was written; after every so
many later."""
_HELD_MS, _IDLE_HELD_MS = 200, 1000
"""How long the broker may hold a fetch that finds nothing (`hold_fetches`): while records come, and while none do."""
_SCRIPT_RECORDS = 500
"""Records per script: about 3 ms, for which Redis serves no one else."""
_LONGEST_OUTAGE_MS = 7 * 86_400_000
"""Waiting for Redis must not look to aiokafka like a consumer that died."""
_COMMIT_S = 5.0
"""aiokafka would try to commit for ever; nothing hangs on it."""
_BROKER_PAUSE_S = 1.0
_LEAVE_S = 2.0
"""Seconds to leave the group in good order."""
_log = structlog.get_logger("endocrine.projection")


class ProjectionError(RuntimeError):
    """The projection cannot go on. The message says what to do."""


class Projection(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the Redis read models up to date. `run` once; `stop` ends it from another task.

    Several may run in one group: they share the partitions. Raises ValueError when settings name no Redis, SealKeyError
    when a file of seal keys is named and cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings)
        self._names = {settings.prefix + name: name for name in TOPICS}
        self._seals = known_seals(settings)
        self._placed: dict[TopicPartition, int] = {}
        """The position in Redis of each partition that we read from there on."""
        self._uncommitted: dict[TopicPartition, int] = {}
        self._erased: ErasedSubjects | None = None
        """None: to be read, at the start and whenever what was projected is projected again."""
        self._looped = time.monotonic()
        self._stopping = asyncio.Event()
        self._done = asyncio.Event()

    def health(self) -> Health:
        """Return the health as it is now: while Redis or the broker is away, the loop does not come round."""
        placed, waiting = len(self._placed), len(self._uncommitted)
        return polling_health(
            self._looped,
            self._settings,
            ready=bool(placed),
            commit=Part("ok", {"partitions": placed, "uncommitted": waiting}),
        )

    async def run(self) -> None:
        """Project until stopped. Raises ProjectionError, KafkaError when the broker is not reached at start, and
        KeyFileError where content is encrypted and there is no file of keys."""
        work = asyncio.create_task(self._work(), name="projection")
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Cancelled where it is: a script is applied whole or not at all, and what it did is known to Redis.
            # A client may lose the cancellation (seen: one in about ten while records come); then the loop sees this.
            self._stopping.set()
            await cancelled([work, stop])
            self._done.set()
        if not work.cancelled():
            work.result()

    async def stop(self) -> None:
        """End `run`, also while Redis is away; returns when it has ended. Call it only once `run` has begun."""
        self._stopping.set()
        await self._done.wait()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the partitions go (called by the consumer): others may go on with these."""
        self._forget(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Place all anew (called by the consumer): it starts from the group's offsets, not from ours."""
        self._forget(assigned)

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self._placed.pop(partition, None)
            self._uncommitted.pop(partition, None)

    async def _work(self) -> None:
        await clients.require_content_keys(self._settings)
        consumer = clients.consumer(
            self._settings,
            group_id=f"{self._settings.group}.projection",
            session_timeout_ms=int(self._settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._settings.session_timeout_s * 1000 / 3),
            max_poll_interval_ms=_LONGEST_OUTAGE_MS,
            max_poll_records=self._settings.max_batch_records,
        )
        consumer.subscribe(list(self._names), listener=self)
        async with self._store:
            try:
                await consumer.start()
                await self._loop(consumer)
            finally:
                await self._commit(consumer)
                await _end(consumer)

    async def _loop(self, consumer: AIOKafkaConsumer) -> None:
        clock = asyncio.get_running_loop().time
        committed = clock()
        fetched: dict[TopicPartition, list[ConsumerRecord]] = {}
        quiet = 0
        while not self._stopping.is_set():
            try:
                await self._place(consumer)
            except KafkaError as error:
                if not error.retriable:
                    raise
                _log.warning("the projection waits for the broker", error=str(error) or type(error).__name__)
                await asyncio.sleep(_BROKER_PAUSE_S)
                continue
            self._looped = time.monotonic()
            hold_fetches(consumer, _HELD_MS if fetched else _IDLE_HELD_MS)
            fetched = await consumer.getmany(timeout_ms=_IDLE_MS)
            for partition, records in fetched.items():
                for first in range(0, len(records), _SCRIPT_RECORDS):
                    await self._apply(partition, records[first : first + _SCRIPT_RECORDS])
                if partition in self._placed:  # beyond the last record, too, where a transaction's marker lies
                    self._uncommitted[partition] = covered(records)[1]
            quiet = 0 if fetched else quiet + 1
            if 0 < quiet <= _LOOK_EACH or (quiet and quiet % _LOOK_SELDOM == 0):
                await self._look_after()
            if clock() - committed >= self._settings.commit_interval_s:
                await self._commit(consumer)
                committed = clock()

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """Step 1."""
        partitions = sorted(consumer.assignment() - self._placed.keys())
        if not partitions:
            return
        if self._erased is None:
            self._erased = await ErasedSubjects.read(self._settings)
        positions = await self._store.positions([_source(partition) for partition in partitions])
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, position in zip(partitions, positions, strict=True):
            if position > ends[partition]:
                raise ProjectionError(
                    f"Redis holds {_source(partition)} up to offset {position}, but that topic partition ends at"
                    f" {ends[partition]}: it was created anew, or the broker lost its tail. To fill the views again"
                    " from the topics as they are now, run `endocrine project --rebuild`."
                )
            try:
                consumer.seek(partition, max(position, first[partition]))
            except IllegalStateError:
                continue  # taken from us while we asked
            self._placed[partition] = position

    async def _apply(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        """Step 3."""
        start = self._placed.get(partition)
        if start is None:
            return
        source = _source(partition)

        def skip(record: SourceRecord, malformed: Malformed) -> None:
            # The message may quote the record, so it stays out of the log.
            _log.warning("record not projected", record=f"{source}/{record.offset}", kind=malformed.kind)

        max_bytes = self._settings.topic_message_bytes
        topic = self._names[partition.topic]
        proved = records
        if topic in PROVED and (seals := self._seals) is not None:
            proved = [record for record in records if seals.valid(topic, record, dict(record.headers))]
        if self._erased is not None:
            proved = self._erased.without(topic, proved)
        writes = writes_of(topic, source, proved, max_bytes, skip)
        end = records[-1].offset + 1
        applied = await self._store.apply(Batch(source, start, end, writes))
        if partition not in self._placed:
            return  # given to another meanwhile; what we wrote, its guards know
        if applied:
            self._placed[partition] = self._uncommitted[partition] = end
        else:
            self._replay([partition])

    async def _look_after(self) -> None:
        """A Redis that was flushed while no record came is filled again."""
        if not (partitions := list(self._placed)):
            return
        positions = await self._store.positions([_source(partition) for partition in partitions])
        lost = [
            part for part, held in zip(partitions, positions, strict=True) if held < self._placed.get(part, NOTHING)
        ]
        if lost:
            self._replay(lost)

    def _replay(self, partitions: Iterable[TopicPartition]) -> None:
        lost = [_source(partition) for partition in partitions if partition in self._placed]
        self._forget(list(partitions))
        self._erased = None
        _log.warning("redis lost what was projected; replaying it from the topics", partitions=lost)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Step 4. It may fail, as in a rebalance: the next one says it again."""
        if not self._uncommitted:
            return
        try:
            async with asyncio.timeout(_COMMIT_S):
                await consumer.commit(self._uncommitted)
            self._uncommitted = {}
        except (KafkaError, TimeoutError) as error:
            _log.debug("projection offsets not committed", error=str(error))


def _source(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


async def _end(consumer: AIOKafkaConsumer) -> None:
    stop = asyncio.create_task(consumer.stop())
    done, _ = await asyncio.wait({stop}, timeout=_LEAVE_S)
    if not done:
        # It waits for the broker to answer a JoinGroup, as long as a rebalance takes; without connection it ends.
        await consumer._client.close()
        await asyncio.wait({stop}, timeout=_LEAVE_S)
