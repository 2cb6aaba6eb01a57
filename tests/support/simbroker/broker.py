"""Topics and compacted changelogs in memory, and the port of a unit onto them.

Every effect is preceded by a pause, where the schedule may leave the unit for a while (a zombie) or for ever (a crash).
"""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import msgpack
from aiokafka.structs import TopicPartition

from endocrine.pipeline.core.changelog import EPOCH_KEY, Entry
from endocrine.pipeline.core.records import Fetched, Header, Headers, OutputRecord
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds, Since
from endocrine.pipeline.runtime.broker_port import Run
from endocrine.pipeline.runtime.errors import Retry
from endocrine.pipeline.runtime.state_stores import POSITION_KEY, RocksStore, StorePosition

T = TypeVar("T")


class _Pause:
    def __await__(self) -> Generator[str, None, None]:
        yield "effect"


class _Idle:
    def __await__(self) -> Generator[str, None, None]:
        yield "idle"


class _Beside(Generic[T]):
    """Two coroutines whose steps interleave at random."""

    def __init__(
        self, writing: Coroutine[Any, Any, None], processing: Coroutine[Any, Any, T], dice: Callable[[], float]
    ) -> None:
        self._writing = writing
        self._thinking = processing
        self._dice = dice

    def __await__(self) -> Generator[str, None, T]:
        going: list[Coroutine[Any, Any, Any]] = [self._writing, self._thinking]
        prepared: list[T] = []
        failed: Exception | None = None
        try:
            while going:
                one = going[int(self._dice() * len(going))]
                try:
                    yield one.send(None)
                except StopIteration as stop:
                    going.remove(one)
                    if one is self._thinking:
                        prepared.append(stop.value)
                except Exception as error:
                    going.remove(one)
                    if one is self._writing:
                        raise
                    failed = error
        finally:
            self._writing.close()
            self._thinking.close()
        if failed is not None:
            raise failed
        return prepared[0]


class _Background:
    """What takes steps while something else of its unit pauses. It begins with its first step."""

    def __init__(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._producing = producing
        self._begun: Coroutine[Any, Any, None] | None = None
        self.ended = False
        self.error: Exception | None = None

    def done(self) -> bool:
        return self.ended

    def step(self) -> None:
        """Go on up to the next effect, or to the end."""
        self._begun = self._begun or self._producing()
        try:
            self._begun.send(None)
        except StopIteration:
            self.ended = True
        except Exception as error:
            self.ended, self.error = True, error


class Produced(NamedTuple):
    """A record on a topic as the checks see it."""

    at: int
    """Moment of the broker's clock."""
    by: str
    offset: int
    record: OutputRecord
    headers: tuple[Header, ...]


@dataclass
class Changelog:
    """A compacted partition; offsets survive compaction. `ever` is the uncompacted copy for the checks."""

    entries: list[Entry] = field(default_factory=list)
    ever: list[Entry] = field(default_factory=list)
    recovering: set[str] = field(default_factory=set)
    """Who recover from it. Tombstones stay meanwhile: Kafka keeps them for delete.retention.ms."""
    forgotten: int = -1
    """Offset of the last tombstone that is gone: a disk that had not come so far by then has missed it."""

    def append(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        """One atomic batch; returns its base offset."""
        base = len(self.ever)
        for key, value in items:
            offset = len(self.ever)
            entry = Entry(offset, key, value, offset if key == EPOCH_KEY else epoch)
            self.ever.append(entry)
            self.entries.append(entry)
        return base

    def compact(self, lag: bool) -> None:
        """Keep the last record of each key. lag: a void record is repaired before it can displace what it hides."""
        epoch = -1
        void: dict[bytes, int] = {}
        for entry in self.entries:
            if entry.key == EPOCH_KEY:
                epoch = entry.offset
            elif entry.epoch < epoch:
                void.setdefault(entry.key, entry.offset)
            else:
                void.pop(entry.key, None)
        bound = min([*void.values(), len(self.ever)]) if lag else len(self.ever)
        last = {entry.key: entry.offset for entry in self.entries if entry.offset < bound}
        kept = []
        for entry in self.entries:
            if entry.offset < bound:
                if last[entry.key] != entry.offset:
                    continue
                if entry.value is None and not self.recovering:
                    self.forgotten = max(self.forgotten, entry.offset)
                    continue
            kept.append(entry)
        self.entries = kept


class FakeStore(RocksStore):
    """A durable store on a disk in memory, which outlives its units. What was set and not flushed is lost with them."""

    def __init__(self, disk: dict[bytes, bytes], log: Changelog) -> None:
        self._fresh: dict[bytes, bytes | None] = {}
        self._db: Any = disk
        self._log = log

    def too_old(self, position: StorePosition) -> bool:
        return position.next_offset <= self._log.forgotten

    def flush(self, next_offset: int, epoch: int, void: set[bytes]) -> None:
        for key, value in self._fresh.items():
            if value is None:
                self._db.pop(key, None)
            else:
                self._db[key] = value
        self._db[POSITION_KEY] = msgpack.packb([next_offset, epoch, sorted(void), 0.0])
        self._fresh.clear()

    def clear(self) -> None:
        self._fresh.clear()
        self._db.clear()


class MemoryBroker:
    """Topics of some partitions each, and changelogs by (agent, partition)."""

    def __init__(self) -> None:
        self.topics: dict[tuple[str, int], list[Fetched | None]] = defaultdict(list)
        """Records by offset; None where readers see none: what is open or aborted, and markers."""
        self.uncommitted: dict[tuple[str, int], dict[int, Fetched]] = defaultdict(dict)
        """What lies at offsets of open and aborted transactions, for whoever reads it all the same."""
        self.open: dict[tuple[str, int], int] = {}
        """Offset of the open transaction's record, where there is one."""
        self.produced: dict[tuple[str, int], list[Produced]] = defaultdict(list)
        self.changelogs: dict[tuple[str, int], Changelog] = defaultdict(Changelog)
        self.committed: dict[tuple[str, int, str], int] = {}
        """The group's offsets by (agent, partition, topic): hints, late or lost."""
        self.faulty = True
        """Whether lookups may fail."""
        self.clock = 0
        self.early: list[str] = []
        """Ends that were reported from before what they were asked about came: failures."""
        self.trace: list[tuple[object, ...]] = []
        """What happened, in order; `line_of` makes a line of text of each."""

    def append(self, by: str, out: OutputRecord, common: Headers = ()) -> int:
        """Append a record to a topic, as the broker does; returns its offset."""
        self.clock += 1
        headers = (*out.own, *common) if out.derived else tuple(out.own)
        place = (out.topic, out.partition)
        log = self.topics[place]
        offset = len(log)
        # Coarse append times: many records share one, as milliseconds do on a fast broker.
        log.append(Fetched(out.partition, offset, self.clock // 4, out.key, out.value, headers))
        self.produced[place].append(Produced(self.clock, by, offset, out, headers))
        self.trace.append((by, "produces", out))
        return offset

    def begin(self, out: OutputRecord) -> None:
        """Append an outsider's record in a transaction; one at a time per partition."""
        self.clock += 1
        place = (out.topic, out.partition)
        log = self.topics[place]
        record = Fetched(out.partition, len(log), self.clock // 4, out.key, out.value, tuple(out.own))
        self.open[place], self.uncommitted[place][len(log)] = len(log), record
        log.append(None)
        self.trace.append(("transaction begins at", len(log) - 1, out))

    def end(self, place: tuple[str, int], *, commit: bool) -> None:
        """Commit or abort a transaction: its marker takes an offset, too."""
        self.clock += 1
        offset, log = self.open.pop(place), self.topics[place]
        if commit:
            log[offset] = self.uncommitted[place].pop(offset)
        log.append(None)
        self.trace.append((f"transaction {'commits' if commit else 'aborts'}:", *place, offset))

    def stable_end(self, topic: str, partition: int) -> int:
        """The offset below which all is decided: where the topic ends for its readers."""
        return self.open.get((topic, partition), len(self.topics[topic, partition]))


def line_of(event: tuple[object, ...]) -> str:
    """An event of the trace as a line of text."""
    parts = []
    for part in event:
        if isinstance(part, OutputRecord):
            name = (dict(part.own).get("ce_id") or b"?").decode()
            parts.append(f"{name} to {part.topic}/{part.partition}: {part.value!r}")
        elif isinstance(part, list):
            parts.append(" ".join(key.decode() for key, _ in part))
        else:
            parts.append(str(part))
    return " ".join(parts)


class MemoryPort:
    """The broker as one incarnation of a unit sees it (endocrine.pipeline.runtime.broker_port.Port).

    unrest: share of reads before which others may act. faults: share of lookups of log ends that fail for now.
    """

    reports = FetchedEnds
    """Class of what answers to fetches have reported; ablations put weaker ones in its place."""

    def __init__(
        self,
        broker: MemoryBroker,
        name: str,
        agent: str,
        partition: int,
        sources: Sequence[str],
        rng: random.Random,
        *,
        unrest: float,
        faults: float,
    ) -> None:
        self._broker = broker
        self._name = name
        self._agent = agent
        self._partition = partition
        self._log = broker.changelogs[agent, partition]
        self._sources = tuple(sources)
        self._logs = {topic: broker.topics[topic, partition] for topic in sources}
        self._random = rng.random
        self._unrest = unrest
        self._faults = faults
        self._position: dict[str, int] = {}
        self._claimed = -1
        self._fetches = self.reports()
        self._flight: tuple[int, dict[str, int]] | None = None
        """The fetch that is under way: its number, and how far each topic can be read, once the broker has looked."""
        self._written: dict[str, int] = {}
        """How far each topic is written, as the last answer that named it reported."""
        self._since: Since | None = None
        self._there: dict[str, int] = {}
        """Where topics ended when the last records came."""
        self._background: _Background | None = None
        self._in_background = False

    async def _pause(self) -> None:
        """Before an effect: what is in the background may go on, a fetch too, and others may act."""
        if self._random() < 0.5:
            self._fetch_goes_on()
        if not self._in_background:
            while self._running() and self._random() < 0.5:
                await self._go_on()
        await _Pause()

    async def _quiet(self, ahead: bool) -> None:
        """Nothing came: what is in the background goes on."""
        if self._running():
            await self._go_on()
        else:
            await (_Pause() if ahead else _Idle())

    def _running(self) -> bool:
        return self._background is not None and not self._background.ended

    async def _go_on(self) -> None:
        """One step of what is in the background."""
        background = self._background
        assert background is not None
        self._in_background = True
        try:
            background.step()
        finally:
            self._in_background = False
        if not background.ended:
            await _Pause()

    def start(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> _Background:
        assert not self._running()
        self._background = _Background(producing)
        return self._background

    async def finish(self, background: Any, enough: Callable[[], bool]) -> None:
        while not (background.ended or enough()):
            await self._go_on()
        if background.error is not None:
            raise background.error

    async def give_way(self) -> None:
        if self._running():
            await self._pause()

    async def epoch(self) -> int:
        await self._pause()
        offset = self._claimed = self._log.append([(EPOCH_KEY, b"{}")], -1)
        self._broker.trace.append((self._name, "epoch at", offset))
        return offset

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        """Whole, or in small pieces between which others write and the log is compacted."""
        if self._random() >= self._unrest:
            yield [entry for entry in self._log.entries if start <= entry.offset < end]
            return
        if end == self._claimed + 1:
            self._log.recovering.add(self._name)
        while start < end:
            await self._pause()
            piece = [entry for entry in self._log.entries if start <= entry.offset < end][:3]
            if not piece:
                break
            start = piece[-1].offset + 1
            yield piece
        self._log.recovering.discard(self._name)

    async def changelog_end(self) -> int:
        await self._lookup()
        return len(self._log.ever)

    async def write_checkpoint(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        await self._pause()
        base = self._log.append(items, epoch)
        self._broker.trace.append((self._name, "checkpoints at", base, "under epoch", epoch, list(items)))
        return base

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        for out in records:
            await self._pause()
            self._broker.append(self._name, out, common)

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """A few records of some topics, in any interleaving of topics."""
        runs: list[Run] = []
        dice = self._random()
        position, ahead = self._position, False
        first = int(dice * 256) % len(self._sources)
        for topic in (*self._sources[first:], *self._sources[:first]):
            at, end = position.get(topic, 0), self._end(topic)
            if at < end:
                ahead = True
                if take := int(self._random() * 4):
                    upto = position[topic] = min(at + take, end)
                    runs.append(Run(topic, self._visible(topic, at, upto), upto))
        if runs:
            self._since = Since(self._fetches, self._fetches.sent)
            self._there = {topic: self._broker.stable_end(topic, self._partition) for topic in self._sources}
        self._fetch_goes_on()
        if not runs and wait:
            await self._quiet(ahead)
        return runs

    def _fetch_goes_on(self) -> None:
        """A fetch is sent; the broker looks how far topics can be read, and then how far they are written; its answer
        comes, and names those of which more is written than when it last did.
        """
        if self._flight is None:
            self._flight = self._fetches.next(), {}
            return
        number, readable = self._flight
        if not readable:
            readable.update({topic: self._broker.stable_end(topic, self._partition) for topic in self._sources})
            return
        self._flight = None
        news = []
        for topic in self._sources:
            written = len(self._logs[topic])
            if self._written.get(topic) != written:
                self._written[topic] = written
                news.append((TopicPartition(topic, self._partition), written, readable[topic]))
        self._fetches.answered(0, number, [TopicPartition(topic, self._partition) for topic in self._sources], news)

    def waiting(self) -> int:
        return sum(self._end(topic) - self._position.get(topic, 0) for topic in self._sources)

    def _end(self, topic: str) -> int:
        return self._broker.stable_end(topic, self._partition)

    def _visible(self, topic: str, start: int, end: int) -> list[Fetched]:
        return [record for record in self._logs[topic][start:end] if record is not None]

    async def run_concurrently(self, writing: Coroutine[Any, Any, None], processing: Coroutine[Any, Any, T]) -> T:
        return await _Beside(writing, processing, self._random)

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        known = {topic: end for topic in topics if (end := self._reported(topic)) is not None}
        for topic, end in known.items():
            if end < self._there[topic]:
                self._broker.early.append(f"{topic} ended at {self._there[topic]} when records came, not at {end}")
        if asked := [topic for topic in topics if topic not in known]:
            await self._lookup()
            return known | {topic: self._end(topic) for topic in asked}
        return known

    def _reported(self, topic: str) -> int | None:
        return self._since and self._since.end_of(TopicPartition(topic, self._partition))

    async def _lookup(self) -> None:
        dice = self._random()
        if dice < self._unrest:
            await self._pause()
        elif dice > 1 - self._faults and self._broker.faulty:
            raise Retry("the broker does not answer for now")

    async def seek(self, next_offsets: Mapping[str, int]) -> None:
        """To the next offsets, to the group's committed ones if those are before them, or to the beginning."""
        self._since = None
        for topic in self._sources:
            dice, at = self._random(), next_offsets.get(topic, 0)
            if dice < 0.4:
                at = min(at, self._broker.committed.get((self._agent, self._partition, topic), 0))
            self._position[topic] = 0 if dice < 0.1 else at

    async def commit(self, next_offsets: Mapping[str, int]) -> None:
        """Lost, late, or going backward; a zombie's as good as its owner's; never beyond what was checkpointed."""
        while self._random() < 0.4:
            await self._pause()
            topic = self._sources[int(self._random() * len(self._sources))]
            offset = int(self._random() * (next_offsets.get(topic, 0) + 1))
            self._broker.committed[self._agent, self._partition, topic] = offset
