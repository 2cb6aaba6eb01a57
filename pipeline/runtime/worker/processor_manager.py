"""Owns the processors of the partitions that Faust assigned to this process."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
import structlog
from aiokafka import TopicPartition

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.decoded_states import StateBudget
from endocrine.pipeline.core.prepared_batch import PreparedBatch
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.process import tracing
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.adaptive_batch_size import AdaptiveBatchSize
from endocrine.pipeline.runtime.errors import Fatal, Fenced, Retry
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore, RocksStore, StateStore
from endocrine.pipeline.runtime.worker.batch_spans import trace_batch
from endocrine.pipeline.runtime.worker.failure_fuse import FailureFuse
from endocrine.pipeline.runtime.worker.kafka_broker_port import Broker, KafkaBrokerPort, size_of
from endocrine.pipeline.runtime.worker.stalls import Seen
from endocrine.pipeline.runtime.worker.transport import Delivered
from endocrine.pipeline.views.metrics.registry import Metrics

log = structlog.get_logger(__name__)
BUFFER_BYTES = 4 << 20
"""Bytes that wait for one processor before its partitions are paused: a few fetches."""


class ProcessorManager:
    """Processors by (agent, partition), their tasks, and the group's offsets.

    on_fatal: called with the error that must stop the worker.
    """

    def __init__(
        self,
        settings: Settings,
        agents: Iterable[Agent],
        broker: Broker,
        policy: Callable[[], Policy],
        version: str,
        seals: Seals,
        on_fatal: Callable[[BaseException], None],
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings
        self.agents = {agent.name: agent for agent in agents}
        self._readers: dict[str, list[str]] = defaultdict(list)
        """Names of the agents that read each topic, in the order in which they were given."""
        for agent in self.agents.values():
            for topic in agent.sources:
                self._readers[topic].append(agent.name)
        self.broker = broker
        self.policy = policy
        self.version = version
        self.processors: dict[tuple[str, int], PartitionProcessor] = {}
        self.resumed = asyncio.Event()
        """Set when the processors of the first assignment have recovered."""
        self.consumer: Any = None
        """Faust's consumer, set by the application."""
        self._seals = seals
        self._on_fatal = on_fatal
        self._metrics = metrics
        self._ports: dict[tuple[str, int], KafkaBrokerPort] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._decoded = StateBudget()
        """Decoded states that this process keeps; of the processors of one assignment."""
        self._stores: list[StateStore] = []
        self._recoveries: list[asyncio.Task[None]] = []
        """In the order of `processors`."""
        self._fenced: set[str] = set()
        """Processors that wait to recover again."""
        self._fuse = FailureFuse(settings.reject_fuse_share, settings.reject_fuse_window)
        self._paused: dict[int, set[str]] = {}
        self._committed: dict[TopicPartition, int] = {}

    # ---- assignment ----

    async def recover(self, assigned: Iterable[Any]) -> bool:
        """Create and recover a processor for every assigned partition and agent; return when all have recovered.

        False when a revocation ended it.
        """
        await self.stop_processors()
        self._paused.clear()
        changelogs = {f"{self.settings.prefix}changelog.{name}" for name in self.agents}
        # Sources only: a changelog may be assigned as a standby, and a standby must own nothing.
        partitions = sorted({place.partition for place in assigned if place.topic not in changelogs})
        self._in_thread("pause", [place for place in assigned if place.topic in changelogs])
        for partition in partitions:
            for agent in self.agents.values():
                self._create(agent, partition)
        self._recoveries = [asyncio.create_task(self._recover(processor)) for processor in self.processors.values()]
        # A cancelled recovery is no failure of this one, and its CancelledError would end whoever waits here.
        ended = await asyncio.gather(*self._recoveries, return_exceptions=True)
        if any(isinstance(end, asyncio.CancelledError) for end in ended):
            return False
        for end in ended:
            if isinstance(end, BaseException):
                raise end
        if self._metrics is not None:
            self._metrics.processors(processor.engine.agent.name for processor in self.processors.values())
        log.info("taken over", partitions=partitions, processors=len(self.processors))
        return True

    def fail(self, error: BaseException) -> None:
        """Stop the worker because of this error."""
        self._on_fatal(error)

    def _create(self, agent: Agent, partition: int) -> None:
        keys = self.broker.keys
        broker = KafkaBrokerPort(
            self.broker,
            agent.name,
            partition,
            agent.sources,
            on_pressure=lambda high: self._pressure(partition, agent, high),
            buffer_bytes=BUFFER_BYTES,
            ready=None if keys is None else self.broker.ready,
        )
        table = None if keys is None else keys.table
        engine = Engine(agent, self.settings.partitions, self.version, self.settings.sizes, self._seals, keys=table)
        self._ports[agent.name, partition] = broker
        self.processors[agent.name, partition] = PartitionProcessor(
            engine,
            partition,
            broker,
            self._store(agent.name, partition),
            self.policy,
            max_records=self.settings.max_batch_records,
            max_bytes=self.settings.changelog_message_bytes,
            batch_size=AdaptiveBatchSize(self.settings.max_batch_records),
            kept=self._decoded.member(),
            on_batch=None if self._metrics is None and tracing.current() is None else self._finished,
        )

    def _finished(self, agent: str, done: PreparedBatch) -> None:
        """Count a finished batch, and make its spans."""
        if self._metrics is not None:
            self._metrics.batch(agent, done)
        if (tracer := tracing.current()) is not None:
            trace_batch(tracer, self.settings, agent, done)

    def _store(self, agent: str, partition: int) -> StateStore:
        if self.settings.store == "memory":
            return MemoryStore()
        # A worker's own folder: two workers on one machine may hold a partition one after the other.
        name = self.settings.instance or "worker"
        path = self.settings.data_dir / "stores" / self.settings.group / name / f"{agent}-{partition}"
        store = RocksStore(path, max_age_s=self.settings.compaction_lag_ms / 1000)
        self._stores.append(store)
        return store

    async def _recover(self, processor: PartitionProcessor) -> None:
        while True:
            try:
                return await processor.recover()
            except Fenced as error:  # taken by another at the same time: one of us will lose it in a rebalance
                self._note_fenced(processor, error)
                return
            except Retry as error:
                log.warning("retrying", processor=processor.name, reason=str(error))
                await asyncio.sleep(1.0)
            except Exception as error:
                self._on_fatal(error)
                raise

    async def seek(self) -> None:
        """Fetch each source from the lowest offset that one of its processors still needs."""
        offsets_by_place: dict[TopicPartition, int] = {}
        for (_, partition), processor in self.processors.items():
            if processor.name in self._fenced:
                continue  # it does not know where it is
            for topic in processor.engine.agent.sources:
                place = TopicPartition(self.settings.prefix + topic, partition)
                offset = processor.checkpoint.next_offsets.get(topic, 0)
                offsets_by_place[place] = min(offsets_by_place.get(place, offset), offset)
        if offsets_by_place:
            await self.consumer.seek_wait(offsets_by_place)

    def resume(self) -> None:
        """Start the processors' loops: their records are on the way."""
        self.resumed.set()
        for key, processor in self.processors.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.create_task(self._live(processor), name=f"processor {processor.name}")

    async def stop_processors(self) -> None:
        """Drop batches whose checkpoint is not begun, finish the others; return when no processor produces any more."""
        processors = self.processors
        for processor in processors.values():
            processor.stopping = True
        tasks = [*zip(processors, self._recoveries, strict=False), *self._tasks.items()]
        while pending := [(key, task) for key, task in tasks if not task.done()]:
            for key, task in pending:
                if not processors[key].critical:
                    task.cancel()
            await asyncio.wait([task for _, task in pending], timeout=0.02)
        self._recoveries.clear()
        self._fenced.clear()
        self._tasks.clear()
        self.processors.clear()
        self._ports.clear()
        self._decoded = StateBudget()
        while self._stores:
            self._stores.pop().close()

    # ---- a processor's loop ----

    async def _live(self, processor: PartitionProcessor) -> None:
        """Batch after batch. A fenced processor waits longer than a session and recovers again, if it is still ours."""
        while True:
            try:
                if processor.name in self._fenced:
                    await asyncio.sleep(1.5 * self.settings.session_timeout_s)
                    await processor.recover()
                    self._fenced.discard(processor.name)
                    await self.seek()
                while not processor.stopping:
                    before = processor.tally.read, processor.tally.failed
                    await processor.step()
                    read, failed = processor.tally.read - before[0], processor.tally.failed - before[1]
                    if read and self._fuse.blown(read, failed):
                        raise Fatal(self._fuse.explain(processor.name))
                return await processor.stop()
            except asyncio.CancelledError:
                raise
            except Fenced as error:
                self._note_fenced(processor, error)
            except Retry as error:
                log.warning("retrying", processor=processor.name, reason=str(error))
                self._count("endocrine_retries_total", processor)
                await asyncio.sleep(1.0)
            except Exception as error:
                self._on_fatal(error)
                return

    def _note_fenced(self, processor: PartitionProcessor, error: Fenced) -> None:
        """Two processes under one static name would take it from each other for ever: the one that is fenced ends."""
        log.warning("fenced", processor=processor.name, reason=str(error))
        self._count("endocrine_fenced_total", processor)
        self._fenced.add(processor.name)
        claimed = orjson.loads(error.claimed) if error.claimed else {}
        ours, name = self.broker.client_id, self.settings.instance
        if name is not None and claimed.get("instance") == name and claimed.get("worker") != ours:
            problem = (
                f"{processor.name} was taken over by {claimed['worker']}, "
                f"which runs under our ENDOCRINE_INSTANCE {name!r}"
            )
            self._on_fatal(Fatal(problem))

    def _count(self, metric: str, processor: PartitionProcessor) -> None:
        if self._metrics is not None:
            self._metrics.add(metric, agent=processor.engine.agent.name)

    # ---- what comes in ----

    def deliver(self, batch: Delivered) -> None:
        """Pass a fetched batch on to the processors that read its topic; those of agents that are named first are the
        first to work."""
        topic = batch.topic[len(self.settings.prefix) :]
        size = size_of(batch.records)
        for name in self._readers.get(topic, ()):
            port = self._ports.get((name, batch.partition))
            if port is not None:
                port.arrive(topic, batch.records, batch.first_offset, batch.next_offset, size, batch.since)

    def _pressure(self, partition: int, agent: Agent, high: bool) -> None:
        """Pause what a full processor reads, resume it when no processor of the partition is full."""
        full = self._paused.setdefault(partition, set())
        (full.add if high else full.discard)(agent.name)
        topics = {topic for name in self.agents for topic in self.agents[name].sources}
        blocked = {topic for name in full for topic in self.agents[name].sources}
        prefix = self.settings.prefix
        if high:
            self._in_thread("pause", [TopicPartition(prefix + topic, partition) for topic in sorted(blocked)])
        else:
            self._in_thread("resume", [TopicPartition(prefix + topic, partition) for topic in sorted(topics - blocked)])

    def _in_thread(self, method: str, places: list[TopicPartition]) -> None:
        """Call aiokafka's pause or resume in the thread that its consumer lives in."""
        thread = self.consumer._thread
        inner = thread._consumer

        def call() -> None:
            held = inner.assignment()
            ours = [own for place in places if (own := TopicPartition(place.topic, place.partition)) in held]
            if ours:
                getattr(inner, method)(*ours)

        if places and inner is not None:
            thread.thread_loop.call_soon_threadsafe(call)

    @property
    def running(self) -> bool:
        """Whether all processors have recovered and their loops run."""
        return bool(self._tasks)

    # ---- 5 Commit ----

    def offsets(self) -> Mapping[TopicPartition, int]:
        """Return, per source partition, the lowest offset that some processor still needs."""
        lowest: dict[TopicPartition, int] = {}
        for (name, partition), broker in self._ports.items():
            for topic in self.agents[name].sources:
                place = TopicPartition(self.settings.prefix + topic, partition)
                offset = broker.done(topic)
                lowest[place] = min(lowest.get(place, offset), offset)
        return lowest

    async def progress(self) -> Mapping[str, Seen]:
        """Return how far each processor is, by `agent/partition`; nothing while one of them recovers.

        Raises Retry when the broker does not answer.
        """
        if not self.running:
            return {}
        processors, ports = dict(self.processors), dict(self._ports)
        places = {
            (key, topic): TopicPartition(self.settings.prefix + topic, key[1])
            for key in processors
            for topic in self.agents[key[0]].sources
        }
        ends = await self.broker.ends(sorted(set(places.values())))
        behind: dict[tuple[str, int], int] = dict.fromkeys(processors, 0)
        for (key, topic), place in places.items():
            behind[key] += max(0, ends[place] - ports[key].done(topic))
        return {
            processor.name: Seen((processor.checkpoint.epoch, processor.checkpoint.batch), behind[key])
            for key, processor in processors.items()
        }

    async def commit(self) -> None:
        """Report our offsets to the group; failures only delay lag displays."""
        moved = [port for port in self._ports.values() if port.moved]
        for port in moved:
            port.moved = False
        news = {}
        if moved:
            news = {place: at for place, at in self.offsets().items() if self._committed.get(place, 0) < at}
        committed = not news
        try:
            if news and (committed := await self.consumer.commit_now(news)):
                self._committed.update(news)
        finally:
            if not committed:
                for port in moved:
                    port.moved = True
