"""The port to Kafka: aiokafka producers and readers shared by all units of a process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TypeVar, cast

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from endocrine.pipeline.core.changelog import CLAIM_HEADER, EPOCH_KEY, Entry, entries_of
from endocrine.pipeline.core.content_keys import TOPIC as KEYS
from endocrine.pipeline.core.records import Headers, OutputRecord, SourceRecord
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.content_keys import FRESH_S
from endocrine.pipeline.kafka.fetched_ends import Since
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.broker_port import Background, Run
from endocrine.pipeline.runtime.errors import Fatal, Retry
from endocrine.pipeline.runtime.worker.end_offsets import EndOffsets
from endocrine.pipeline.runtime.worker.output_sender import OutputSender

log = structlog.get_logger(__name__)
T = TypeVar("T")
READERS = 4
"""Changelogs read at once when partitions are taken over: more gains nothing on one consumer thread."""
UNDELIVERED = 1000
"""Offsets read at once of what the group's consumer has not delivered."""
LOOK_S, DOUBLINGS = 5.0, 2
"""Seconds between looks at the ends of topics that bring nothing, and how often that doubles, after two looks each. All
processors of a process look at the same moments (multiples on the clock), so that their questions become one."""
_QUICK_S = 0.5
HANDOVERS = 4
"""Turns of the event loop that aiokafka takes to bring a batch to its socket. Processing holds the loop for long."""
ENVELOPE_BYTES = 1 << 20
"""Room in a produce request beside its largest batch."""


class Broker:
    """Connections of one process to Kafka: a producer for changelogs, one for outputs, a pool of readers.

    Two producers, because aiokafka has one request under way per broker and producer: remembering must not wait for
    what another unit produces. topics: those whose ends will be asked for, without prefix; a first question about
    others takes longer.
    """

    def __init__(self, settings: Settings, *, client_id: str, topics: Sequence[str] = ()) -> None:
        self.settings = settings
        self._topics = topics
        self.client_id = client_id
        self._changelog = self._producer("changelog", settings.changelog_message_bytes)
        self._outputs = self._producer("outputs", settings.topic_message_bytes)
        self._sender = OutputSender(self._outputs)
        self._readers: asyncio.Queue[AIOKafkaConsumer] = asyncio.Queue()
        self._asker = self._reader("asker")
        self._ends = EndOffsets(self._asker)
        self._started: list[Any] = []
        self.keys = clients.content_keys(settings)
        """Of content; None where all of it is in clear."""

    def _producer(self, role: str, batch_bytes: int) -> AIOKafkaProducer:
        return connection.producer(
            self.settings,
            client_id=f"{self.client_id}-{role}",
            acks="all",
            enable_idempotence=True,
            max_batch_size=batch_bytes,
            max_request_size=batch_bytes + ENVELOPE_BYTES,
            linger_ms=0,
            compression_type=None if self.settings.compression == "none" else self.settings.compression,
        )

    def _reader(self, role: str) -> AIOKafkaConsumer:
        longest = self.settings.changelog_message_bytes
        return clients.reader(
            self.settings,
            longest=longest,
            as_stored=True,
            client_id=f"{self.client_id}-{role}",
            fetch_max_bytes=2 * longest,
        )

    async def start(self) -> None:
        """Connect. Raises aiokafka's KafkaConnectionError when no broker answers."""
        readers = [self._reader(f"reader-{n}") for n in range(READERS)]
        for client in (self._changelog, self._outputs, self._asker, *readers):
            self._started.append(client)
            await client.start()
        prefix, numbers = self.settings.prefix, range(self.settings.partitions)
        clients.introduce(self._asker, [TopicPartition(prefix + topic, n) for topic in self._topics for n in numbers])
        for reader in readers:
            self._readers.put_nowait(reader)
        await self._first_keys()

    async def _first_keys(self) -> None:
        """Read the keys of content; without a file of keys there must be none. Raises Fatal."""
        if self.keys is not None:
            try:
                await self.keys.refresh()
            except KeyFileError as error:
                raise Fatal(str(error)) from None
            return
        places = [TopicPartition(self.settings.prefix + KEYS, n) for n in range(self.settings.partitions)]
        if any((await self._asker.end_offsets(places)).values()):
            raise Fatal(str(clients.keys_needed(self.settings)))

    async def stop(self) -> None:
        """Disconnect; what is still unsent is dropped (a successor produces it again)."""
        while self._started:
            await self._started.pop().stop()
        if self.keys is not None:
            await self.keys.stop()

    async def ready(self, runs: Sequence[Run]) -> None:
        """Return when the keys of these records' content are known, and what was destroyed a second ago. Raises Retry
        where the broker does not give them."""
        assert self.keys is not None
        try:
            await self.keys.refresh(FRESH_S)
            for run in runs:
                await self.keys.ready(run.topic, run.records)
        except (TimeoutError, KafkaError) as error:
            raise Retry(f"keys of content cannot be read: {error!r}") from error
        except KeyFileError as error:
            raise Fatal(str(error)) from None

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """Return a reader of our own for a while."""
        reader = await self._readers.get()
        try:
            yield reader
        finally:
            reader.unsubscribe()
            self._readers.put_nowait(reader)

    async def append(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None, Headers]]
    ) -> int:
        """Append records as ONE batch to a changelog; return its base offset. Raises Fatal when its fate is unknown."""
        batch = self._changelog.create_batch()
        for key, value, headers in records:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise Fatal(
                    f"{topic}/{partition}: {len(records)} records do not fit into one batch of "
                    f"{self.settings.changelog_message_bytes} bytes"
                )
        batch.close()
        try:
            sent = await self._changelog.send_batch(batch, topic, partition=partition)
            return int((await sent).offset)
        except KafkaError as error:
            raise Fatal(f"{topic}/{partition}: the fate of a batch is unknown: {error!r}") from error

    async def send(self, topic: str, partition: int, records: Sequence[OutputRecord], common: Headers) -> None:
        """Send records of one topic and partition in order; returns when all are acknowledged. Raises Fatal."""
        await self._sender.send(topic, partition, records, common)

    async def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset that the next record of each partition will get."""
        try:
            return await self._ends.of(partitions)
        except KafkaError as error:
            raise Retry(f"cannot learn the ends of {len(partitions)} partitions: {error!r}") from error

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncGenerator[Sequence[Any]]:
        """Return the records with start <= offset < end. Raises Retry where the broker does not give them."""
        if start >= end:
            return
        place = TopicPartition(topic, partition)
        async with self.reader() as reader:
            try:
                async with aclosing(clients.read_until(reader, {place: (start, end)})) as pieces:
                    async for found in pieces:
                        if records := found.get(place):
                            yield records
            except (TimeoutError, KafkaError) as error:
                # A transaction that somebody left open holds up what lies behind it until the broker ends it.
                raise Retry(f"{topic}/{partition} cannot be read from {start} to {end}: {error!r}") from error


class KafkaBrokerPort:
    """The broker as one unit sees it (see endocrine.pipeline.runtime.broker_port.Port). ready: awaited before records
    are handed on, where keys of their content have to be known."""

    def __init__(
        self,
        broker: Broker,
        agent: str,
        partition: int,
        sources: Sequence[str],
        *,
        on_pressure: Callable[[bool], None],
        buffer_bytes: int,
        ready: Callable[[Sequence[Run]], Awaitable[None]] | None = None,
    ) -> None:
        self._broker = broker
        self._partition = partition
        prefix = broker.settings.prefix
        self._prefix = prefix
        self._log = f"{prefix}changelog.{agent}"
        self._places = {topic: TopicPartition(prefix + topic, partition) for topic in sources}
        self._unready: Sequence[Run] = ()
        """What was fetched, and waits for keys of its content."""
        self._arrived: list[tuple[int, Run]] = []
        """With the first offset that each covers."""
        self._bytes = 0
        self._limit = buffer_bytes
        self._pressed = False
        self._on_pressure, self._ready = on_pressure, ready
        self._news = asyncio.Event()
        self._progress = asyncio.Event()
        """Set by each commit, and by the end of what runs in the background."""
        self._failed = False
        """Whether something in the background has failed, and nobody has seen it yet."""
        self._committed: Mapping[str, int] = {}
        """How far the unit is: the offset after the last record that it is done with."""
        self._delivered: dict[str, int] = {}
        """Per topic, the offset up to which all was handed on."""
        self._handed: dict[str, int] = {}
        """Per topic, the offset after the last record handed on."""
        self._since: Since | None = None
        """When the last of what arrived came; None where that is not known, and after a seek."""
        self._looks = 0
        """At ends of topics since something arrived."""
        self.moved = True
        """Whether `done` may say more than when the manager set this to False."""

    # ---- what comes in ----

    def arrive(
        self,
        topic: str,
        records: Sequence[SourceRecord],
        first_offset: int,
        next_offset: int,
        size: int | None = None,
        since: Since | None = None,
    ) -> None:
        """Take in what was fetched: all records from one offset up to another (exclusive).

        size: `size_of` them, where the caller knows it: several agents read the same records. since: when they came.
        """
        self._arrived.append((first_offset, Run(topic, records, next_offset)))
        self._since = since
        self._bytes += size_of(records) if size is None else size
        self._news.set()
        if self._bytes > self._limit and not self._pressed:
            self._pressed = True
            self._on_pressure(True)

    def waiting(self) -> int:
        """Return the records that have arrived."""
        return sum(len(run.records) for _, run in self._arrived)

    async def run_concurrently(self, writing: Coroutine[Any, Any, None], processing: Coroutine[Any, Any, T]) -> T:
        """Run the writing as a task of its own; processing begins when its request is on its way."""
        write = asyncio.create_task(writing)
        process: asyncio.Task[T] | None = None
        try:
            await self.give_way()
            process = asyncio.create_task(processing)
            await asyncio.wait((write, process), return_when=asyncio.FIRST_EXCEPTION)
            await write
            return await process
        finally:
            if process is None:
                processing.close()
            elif not process.cancel() and not process.cancelled():
                process.exception()  # seen: writing's failure, if both failed, is the one that is reported
            while not write.done():
                with suppress(asyncio.CancelledError):  # once begun a batch is finished; the caller still hears of it
                    await asyncio.wait((write,))

    async def give_way(self) -> None:
        """See BrokerPort."""
        for _ in range(HANDOVERS):
            await asyncio.sleep(0)

    def start(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Start it as a task of its own."""
        task = asyncio.create_task(producing())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed = True
            self._news.set()
        self._progress.set()

    async def finish(self, background: Background, enough: Callable[[], bool]) -> None:
        """See BrokerPort."""
        task = cast("asyncio.Task[None]", background)
        while not (task.done() or enough()):
            self._progress.clear()
            await self._progress.wait()
        if task.done():
            self._failed = False
            task.result()

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """Return what has arrived; waits for it until the next look at the topics' ends, or half a second."""
        if self._ready is None:
            return await self._fetch(wait)
        runs = self._unready = self._unready or await self._fetch(wait)
        if runs:
            await self._ready(runs)
        self._unready = ()
        return runs

    async def _fetch(self, wait: bool) -> Sequence[Run]:
        if self._failed:
            return ()
        if not self._arrived:
            self._news.clear()
            try:
                async with asyncio.timeout_at(self._next_look() if wait else _now() + _QUICK_S):
                    await self._news.wait()
            except TimeoutError:
                self._looks += wait
                return await self._undelivered() if wait else ()
            if self._failed:
                return ()
        self._looks = 0
        arrived, self._arrived, self._bytes = self._arrived, [], 0
        try:
            return await self._without_gaps(arrived)
        finally:
            if self._pressed and self._bytes <= self._limit:
                self._pressed = False
                self._on_pressure(False)

    def _next_look(self) -> float:
        """Return the moment of the next look, by the event loop's clock: what is under way has LOOK_S."""
        every = LOOK_S * 2 ** min(self._looks // 2, DOUBLINGS)
        return float(-(-(_now() + LOOK_S) // every) * every)

    async def _without_gaps(self, arrived: Sequence[tuple[int, Run]]) -> Sequence[Run]:
        """What arrived, without gaps: what was fetched before a seek may arrive after it, and lies further on."""
        runs: list[Run] = []
        delivered, handed = dict(self._delivered), dict(self._handed)
        for place, (first, run) in enumerate(arrived):
            topic, _, next_offset = run
            start = delivered.get(topic, 0)
            if first > start:
                missed = await self._read_again(topic, start, first)
                runs += missed
                handed |= _after(missed)
                delivered[topic] = missed[-1].next_offset
                if missed[-1].next_offset < first:
                    self._put_back(arrived[place:])
                    break
            if next_offset > start:
                self.moved = True
                runs.append(run)
                delivered[topic] = next_offset
                handed |= _after([run])
        self._delivered, self._handed = delivered, handed
        return runs

    def _put_back(self, arrived: Sequence[tuple[int, Run]]) -> None:
        """Keep what lies behind a gap that is longer than may be read at once."""
        self._arrived = [*arrived, *self._arrived]
        self._bytes += sum(size_of(run.records) for _, run in arrived)

    async def _undelivered(self) -> Sequence[Run]:
        """What lies on the topics and has not arrived, though nothing has for a while: some of it."""
        for topic, end in (await self.ends(tuple(self._places))).items():
            start = self._delivered.get(topic, 0)
            if start < end:
                runs = await self._read_again(topic, start, min(end, start + UNDELIVERED))
                self._delivered[topic] = runs[-1].next_offset
                self._handed |= _after(runs)
                self.moved, self._looks = True, 0
                return runs
        return ()

    async def _read_again(self, topic: str, start: int, end: int) -> list[Run]:
        """What the group's consumer did not deliver, or its first bytes up to a buffer's; one run at least, which may
        have no records."""
        place = self._places[topic]
        runs: list[Run] = []
        size = 0
        async with aclosing(self._broker.read(place.topic, place.partition, start, end)) as pieces:
            async for records in pieces:
                runs.append(Run(topic, records, records[-1].offset + 1))
                size += size_of(records)
                if size >= self._limit:
                    break
        if self._since is not None:
            self._since = self._since.now()
        after = end if size < self._limit else runs[-1].next_offset
        if runs:
            log.warning("read again", topic=topic, partition=self._partition, start=start, end=after)
        return [*runs, Run(topic, (), after)]

    async def seek(self, next_offsets: Mapping[str, int]) -> None:
        """Forget what arrived before: the process seeks for all its units at once (see ProcessorManager)."""
        self._arrived, self._unready, self._bytes, self._since = [], (), 0, None
        self._committed = dict(next_offsets)
        self._delivered, self._handed = dict(next_offsets), dict(next_offsets)
        self.moved, self._looks = True, 0

    async def commit(self, next_offsets: Mapping[str, int]) -> None:
        """Note the offsets; the manager sends them to the group now and then."""
        self._committed = dict(next_offsets)
        self.moved = True
        self._progress.set()

    def done(self, topic: str) -> int:
        """Return the offset that may be committed to the group: all below it is done with, or holds no record.

        So the lag that displays show comes to 0 where a transaction's marker is the last of a topic.
        """
        committed, delivered = self._committed.get(topic, 0), self._delivered.get(topic, 0)
        return max(committed, delivered) if committed >= self._handed.get(topic, 0) else committed

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the log ends of source topics on this partition, asked for where no fetch has reported them since."""
        since = self._since
        known = {topic: since.end_of(self._places[topic]) for topic in topics} if since is not None else {}
        found = {topic: end for topic, end in known.items() if end is not None}
        if asked := [topic for topic in topics if topic not in found]:
            ends = await self._broker.ends([self._places[topic] for topic in asked])
            found |= {topic: ends[self._places[topic]] for topic in asked}
        return found

    # ---- the changelog ----

    async def epoch(self) -> int:
        """Append an epoch record; whose it is is written for people, and for a worker that was replaced."""
        who = orjson.dumps({"worker": self._broker.client_id, "instance": self._broker.settings.instance})
        return await self._broker.append(self._log, self._partition, [(EPOCH_KEY, who, [])])

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        """Return the records of the changelog, with the epoch each was written under."""
        async for fetched in self._broker.read(self._log, self._partition, start, end):
            yield entries_of(fetched)

    async def changelog_end(self) -> int:
        """Return the offset that the changelog's next record will get."""
        place = TopicPartition(self._log, self._partition)
        return (await self._broker.ends([place]))[place]

    async def write_checkpoint(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        """Return one batch; every record carries our epoch."""
        headers = [(CLAIM_HEADER, b"%d" % epoch)]
        return await self._broker.append(self._log, self._partition, [(key, value, headers) for key, value in items])

    # ---- what goes out ----

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        """Produce topics beside each other, each in order; the journal record when all the rest is acknowledged."""
        places: dict[tuple[str, int], list[OutputRecord]] = {}
        last: list[OutputRecord] = []
        for out in records:
            if out.topic == "journal":
                last.append(out)
            else:
                places.setdefault((out.topic, out.partition), []).append(out)
        if len(places) == 1:
            (((topic, partition), group),) = places.items()
            await self._broker.send(self._prefix + topic, partition, group, common)
        elif places:
            async with asyncio.TaskGroup() as tasks:
                for (topic, partition), group in places.items():
                    tasks.create_task(self._broker.send(self._prefix + topic, partition, group, common))
        for out in last:
            await self._broker.send(self._prefix + out.topic, out.partition, [out], common)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _after(runs: Sequence[Run]) -> dict[str, int]:
    """Per topic of these runs, the offset after its last record."""
    return {run.topic: run.records[-1].offset + 1 for run in runs if run.records}


def size_of(records: Iterable[SourceRecord]) -> int:
    """Return about what records take in memory, in bytes."""
    size = 0
    for raw in records:
        size += len(raw.key or b"") + len(raw.value or b"")
        for name, content in raw.headers or ():
            size += len(name) + len(content or b"")
    return size
