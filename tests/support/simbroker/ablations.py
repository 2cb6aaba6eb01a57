"""The design with one part taken away, for each part. The simulation must fail on every one, or it proves nothing.

The first sixteen are those of the executable model; the others take away what the runtime has beyond it.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka.structs import TopicPartition

from endocrine.agents.contract import Trigger
from endocrine.pipeline.core.batch import Engine, Processed
from endocrine.pipeline.core.changelog import EPOCH_KEY, Entry, state_key
from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.outbox import Outbox, decode_outbox
from endocrine.pipeline.core.records import (
    CE_ID,
    ORIGIN,
    REKEYED_FROM,
    Fetched,
    Headers,
    OutputRecord,
    SourceRecord,
    id_of,
)
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.core.watermarks import watermark_of
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds
from endocrine.pipeline.runtime.broker_port import Run
from endocrine.pipeline.runtime.changelog_owner import ChangelogOwner
from endocrine.pipeline.runtime.errors import Fenced
from endocrine.pipeline.runtime.merge_buffer import MergeBuffer
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import StorePosition
from simbroker.broker import FakeStore, MemoryPort
from simbroker.schedule import Design

Items = Sequence[tuple[bytes, bytes | None]]
Watermark = tuple[str, tuple[int, int]] | None


def _is_journal(out: OutputRecord) -> bool:
    return out.topic == "journal"


# ---- of the changelog ----


class NoClaim(MemoryPort):
    """Generations per key instead of an epoch record that all see."""

    async def epoch(self) -> int:
        return int(self._name.split(".")[1]) + (1 << 30)

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        if start > 0:
            return
        newest: dict[bytes, int] = {}
        kept = []
        for entry in self._log.entries:
            if entry.epoch >= newest.get(entry.key, -1):
                newest[entry.key] = entry.epoch
                kept.append(entry._replace(epoch=end))
        yield [*kept, Entry(end - 1, EPOCH_KEY, b"{}", end - 1)]


class SplitRemember(MemoryPort):
    """Each key in a batch of its own."""

    async def write_checkpoint(self, items: Items, epoch: int) -> int:
        bases = [await super(SplitRemember, self).write_checkpoint([item], epoch) for item in items]
        return bases[-1] - len(items) + 1


class _NoGapCheck(ChangelogOwner):
    async def _foreign(self, start: int, end: int) -> set[bytes]:
        return set()


class NoGapCheck(PartitionProcessor):
    """Nobody looks who else wrote."""

    owner = _NoGapCheck


class _NoRepair(ChangelogOwner):
    async def repair(self, keys: set[bytes]) -> None:
        return None


class NoRepair(PartitionProcessor):
    """A zombie's stale records stay the last of their keys."""

    owner = _NoRepair


GAPS = {"pause": 0.08, "wake": 0.05, "compact": 0.15, "unrest": 0.3, "transactions": 0}
"""Rates under which an epoch record is compacted away between a zombie's write and its look."""


class _ShortLook(ChangelogOwner):
    async def _hidden(self, base: int, items: Items) -> set[bytes]:
        hidden = await self._foreign(self.next_offset, base)
        self.next_offset = base + len(items)
        return hidden - {key for key, _ in items}


class ShortLook(PartitionProcessor):
    """After a write the gap before it is read, once, and no further."""

    owner = _ShortLook


# ---- of the outbox ----


class NoRespeak(MemoryPort):
    """A successor says nothing before it reads."""

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        if self._position:  # set when the takeover ends
            await super().produce(records, common)


class SpeakFirst(MemoryPort):
    """The outbox is produced before it is checkpointed."""

    async def write_checkpoint(self, items: Items, epoch: int) -> int:
        await self._ahead(items, journal_only=False)
        return await super().write_checkpoint(items, epoch)

    async def _ahead(self, items: Items, *, journal_only: bool) -> None:
        for key, value in items:
            if key[:1] == b"o" and value is not None:
                outbox = decode_outbox(value)
                records = [out for out in outbox.records if _is_journal(out) or not journal_only]
                await MemoryPort.produce(self, records, outbox.common)

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        if not any(map(_is_journal, records)):
            await super().produce(records, common)


class JournalBeforeRemember(SpeakFirst):
    """The journal record is produced before the batch is checkpointed, and not again."""

    async def write_checkpoint(self, items: Items, epoch: int) -> int:
        await self._ahead(items, journal_only=True)
        return await MemoryPort.write_checkpoint(self, items, epoch)

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        await MemoryPort.produce(self, [out for out in records if not _is_journal(out)], common)


class JournalFirst(MemoryPort):
    """The journal record is produced before the outputs."""

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        await super().produce(sorted(records, key=_is_journal, reverse=True), common)


class JournalNotInOutbox(MemoryPort):
    """The journal record is produced after the outputs, but no successor produces it again."""

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        resumed = not self._position
        await super().produce([out for out in records if not (resumed and _is_journal(out))], common)


class GroupedByKey(Engine):
    """Outputs in the order of their keys."""

    def process(self, *arguments: Any, **options: Any) -> Processed[Any]:
        done = super().process(*arguments, **options)
        done.outputs.sort(key=lambda out: out.key or b"")
        return done


# ---- of several batches in flight ----


class LastOutboxOnly(PartitionProcessor):
    """A successor produces the last outbox only."""

    def _outboxes(self) -> list[Outbox]:
        return super()._outboxes()[-1:]


class OutboxesBackward(PartitionProcessor):
    """A successor produces the last outbox first."""

    def _outboxes(self) -> list[Outbox]:
        return super()._outboxes()[::-1]


class CountedWhenSent(PartitionProcessor):
    """A checkpoint counts outputs as produced that are on their way."""

    def _produced_before(self, batch: int) -> int:
        return batch - 1


class OneMoreInFlight(PartitionProcessor):
    """An outbox takes the key of one that is not produced yet."""

    in_flight = PartitionProcessor.in_flight + 1


# ---- of the marks ----


class NoDerivedMarks(Engine):
    """Copies of derived records are not recognised."""

    @staticmethod
    def watermark_of(topic: str, headers: Mapping[str, bytes | None]) -> Watermark:
        return watermark_of(topic, headers) if REKEYED_FROM in headers else None


class SharedMarks(Engine):
    """One mark for all topics of an origin."""

    @staticmethod
    def watermark_of(topic: str, headers: Mapping[str, bytes | None]) -> Watermark:
        return watermark_of(topic if REKEYED_FROM in headers else "any", headers)


class NoRekeyedMarks(Engine):
    """Copies of re-keyed records are not recognised."""

    @staticmethod
    def watermark_of(topic: str, headers: Mapping[str, bytes | None]) -> Watermark:
        return None if REKEYED_FROM in headers else watermark_of(topic, headers)


class RekeyBeforeMark(Engine):
    """A misrouted record is forwarded before it is known whether it is a copy."""

    def _read(self, topic: str, raw: SourceRecord, done: Processed[Any], *more: Any) -> Any:
        headers = dict(raw.headers)
        identity = orjson.loads(raw.value)["identity"] if ORIGIN in headers and raw.value else ""
        if identity and identity.encode() != raw.key and self.seals.valid(topic, raw, headers):
            self._reroute(topic, raw, headers, identity, id_of(headers.get(CE_ID)), done, True)
            return None, None, None
        return super()._read(topic, raw, done, *more)


class NoRecall(Engine):
    """What producers repeat is not recognised."""

    def _read(self, topic: str, raw: SourceRecord, done: Processed[Any], *more: Any) -> Any:
        return *super()._read(topic, raw, done, *more)[:2], None


class Gullible(KeyedSeals):
    """Takes every seal for ours."""

    def __init__(self, seals: Any) -> None:
        self.__dict__.update(vars(seals))

    def valid(self, topic: str, raw: SourceRecord, headers: Mapping[str, bytes | None]) -> bool:
        return True


@dataclass(frozen=True)
class NoSealCheck(Engine):
    """A header of ours counts, whoever wrote it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seals", Gullible(self.seals))


class NoPartition(KeyedSeals):
    """A seal holds on every partition."""

    def __init__(self, seals: Any) -> None:
        self.__dict__.update(vars(seals))

    def _digest(self, key_id: bytes, topic: str, partition: int, *parts: bytes | None) -> bytes:
        return super()._digest(key_id, topic, 0, *parts)


@dataclass(frozen=True)
class SealsWithoutPartition(Engine):
    """A sealed record that is appended again on another partition counts there too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seals", NoPartition(self.seals))


# ---- of the runs ----


@dataclass(frozen=True)
class Sorting(Engine):
    """Notes Read's verdicts."""

    dropped: list[SourceRecord] = field(default_factory=list)
    prepared: list[SourceRecord] = field(default_factory=list)

    def process(self, *arguments: Any, **options: Any) -> Processed[Any]:
        self.dropped.clear()
        self.prepared.clear()
        return super().process(*arguments, **options)

    def _read(self, topic: str, raw: SourceRecord, done: Processed[Any], *more: Any) -> Any:
        copies = done.tally.copies
        read = super()._read(topic, raw, done, *more)
        trigger: Trigger | None = read[0]
        if done.tally.copies > copies:
            self.dropped.append(raw)
        if trigger is not None:
            self.prepared.append(raw)
        return read


def _among(raw: SourceRecord, others: list[SourceRecord]) -> bool:
    return any(raw is other for other in others)


class RunsWithoutCopies(PartitionProcessor):
    """Dropped copies are not journaled."""

    engine: Sorting

    def _journal(self, records: Sequence[tuple[str, SourceRecord]], *more: Any) -> OutputRecord:
        return super()._journal([item for item in records if not _among(item[1], self.engine.dropped)], *more)


class RunsOfThought(PartitionProcessor):
    """Only what was processed is journaled."""

    engine: Sorting

    def _journal(self, records: Sequence[tuple[str, SourceRecord]], *more: Any) -> OutputRecord:
        return super()._journal([item for item in records if _among(item[1], self.engine.prepared)], *more)


class _Hoarder(MergeBuffer):
    """Keeps what came a second time."""

    def __init__(self, sources: Sequence[str]) -> None:
        super().__init__(sources)
        self.below: list[tuple[str, SourceRecord]] = []

    def add(self, topic: str, records: Sequence[SourceRecord], next_offset: int | None = None) -> None:
        self.below += [(topic, raw) for raw in records if raw.offset < self.next_offsets[topic]]
        super().add(topic, records, next_offset)


class RunsWithBelow(PartitionProcessor):
    """Records below the head's offsets are journaled too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._merge_buffer = self._hoard = _Hoarder(self.engine.agent.sources)

    def _journal(self, records: Sequence[tuple[str, SourceRecord]], *more: Any) -> OutputRecord:
        below, self._hoard.below = self._hoard.below, []
        return super()._journal([*below, *records], *more)


class _Forgetful(MergeBuffer):
    """Takes what comes, again and again."""

    def add(self, topic: str, records: Sequence[SourceRecord], next_offset: int | None = None) -> None:
        self.next_offsets[topic] = 0
        super().add(topic, records, next_offset)


class ReadBelow(PartitionProcessor):
    """The checkpoint's offsets are not the truth: what is fetched is processed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._merge_buffer = _Forgetful(self.engine.agent.sources)


# ---- of thinking ahead ----


class AheadOfStates(PartitionProcessor):
    """Processing ahead knows the states that were written, not those on their way."""

    def _stored(self, key: str) -> bytes | None:
        return self.changelog.get(state_key(key))


class AheadOfHead(PartitionProcessor):
    """Processing ahead knows the checkpoint that was written, not the one on its way."""

    @property
    def _latest(self) -> Checkpoint:
        return self.checkpoint


class AheadOfWriting(MemoryPort):
    """What was processed ahead survives a failure of the write before it."""

    async def run_concurrently(self, writing: Any, processing: Any) -> Any:
        try:
            prepared = await processing
            with suppress(Fenced):
                await writing
        finally:
            writing.close()
        return prepared


# ---- of the durable store ----


DISKS = {"durable": 1.0, "reuse": 0.9, "crash": 0.2, "pause": 0.08, "wake": 0.15, "compact": 0.04, "transactions": 0}
"""Rates under which disks matter: many owners in a row."""


class OldDisk(FakeStore):
    """A store is taken up however old it is, though tombstones that it missed are gone."""

    def too_old(self, position: StorePosition) -> bool:
        return False


class EagerDisk(FakeStore):
    """What is set is durable at once, before it is known that no newer owner wrote."""

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._db[key] = value

    def __delitem__(self, key: bytes) -> None:
        del self._db[key]


class OutOfOrder(MemoryPort):
    """Topics are fetched with their records in another order."""

    async def fetch(self, wait: bool) -> Sequence[Run]:
        return [run._replace(records=[*run.records[1:], *run.records[:1]]) for run in await super().fetch(wait)]


class ReadUncommitted(MemoryPort):
    """What open and aborted transactions wrote is read like any other record."""

    def _end(self, topic: str) -> int:
        return len(self._logs[topic])

    def _visible(self, topic: str, start: int, end: int) -> list[Fetched]:
        hidden = self._broker.uncommitted[topic, self._partition]
        found = [self._logs[topic][offset] or hidden.get(offset) for offset in range(start, end)]
        return [record for record in found if record is not None]


class BeyondTheOpen(MemoryPort):
    """Aborted records are not read, but what lies behind an open transaction is."""

    def _end(self, topic: str) -> int:
        return len(self._logs[topic])


# ---- of what fetches report ----


class _AnyAge(FetchedEnds):
    def of(self, place: TopicPartition, after: int) -> int | None:
        return super().of(place, -1)


class EndsOfAnyAge(MemoryPort):
    """The last end that was reported is taken, however long before the records."""

    reports = _AnyAge


class _UnderWay(FetchedEnds):
    def of(self, place: TopicPartition, after: int) -> int | None:
        return super().of(place, after - 1)


class EndsOfTheFetchUnderWay(MemoryPort):
    """An answer counts though its fetch was under way when the records came."""

    reports = _UnderWay


class _Readable(FetchedEnds):
    def answered(
        self,
        node: int,
        number: int,
        asked: Collection[TopicPartition],
        news: Iterable[tuple[TopicPartition, int, int]],
    ) -> None:
        super().answered(node, number, asked, [(place, readable, readable) for place, _, readable in news])


class EndsBeforeTheOpen(MemoryPort):
    """Where a transaction is open, its beginning is taken for the end until more is written."""

    reports = _Readable


ABLATIONS: Mapping[str, Design] = {
    "no epoch": Design(port=NoClaim),
    "no re-produce": Design(port=NoRespeak),
    "no dedupe of derived records": Design(engine=NoDerivedMarks),
    "watermark shared by topics": Design(engine=SharedMarks),
    "no dedupe of re-keyed records": Design(engine=NoRekeyedMarks),
    "re-key before watermark": Design(engine=RekeyBeforeMark),
    "split Checkpoint": Design(port=SplitRemember),
    "Produce grouped by key": Design(engine=GroupedByKey),
    "no compaction lag": Design(lag=False),
    "journal before the outputs": Design(port=JournalFirst),
    "journal after, not in outbox": Design(port=JournalNotInOutbox),
    "journal before Checkpoint": Design(port=JournalBeforeRemember),
    "no policy in the journal": Design(journal_policy=False),
    "runs without dropped copies": Design(processor=RunsWithoutCopies, engine=Sorting),
    "runs of processed records only": Design(processor=RunsOfThought, engine=Sorting),
    "runs with records below front": Design(processor=RunsWithBelow),
    "no gap check": Design(processor=NoGapCheck),
    "no mending": Design(processor=NoRepair),
    "gap read once, no further": Design(processor=ShortLook, rates=GAPS),
    "produced before checkpointed": Design(port=SpeakFirst),
    "records below the next offset processed": Design(processor=ReadBelow),
    "records fetched out of order": Design(port=OutOfOrder),
    "read uncommitted": Design(port=ReadUncommitted),
    "read beyond open transactions": Design(port=BeyondTheOpen),
    "no recall of producers' ids": Design(engine=NoRecall),
    "no seal check": Design(engine=NoSealCheck, rates={"strangers": 0.3}),
    "seals without the partition": Design(engine=SealsWithoutPartition, rates={"strangers": 0.5}),
    "processed ahead on old states": Design(processor=AheadOfStates),
    "processed ahead on the old checkpoint": Design(processor=AheadOfHead),
    "a fenced write and on with the next": Design(port=AheadOfWriting),
    "a store of any age taken up": Design(disk=OldDisk, rates=DISKS),
    "a store written before the look": Design(disk=EagerDisk, rates=DISKS),
    "the last outbox produced again only": Design(processor=LastOutboxOnly),
    "outboxes produced again backward": Design(processor=OutboxesBackward),
    "outputs counted as produced when sent": Design(processor=CountedWhenSent),
    "one batch more in flight than keys": Design(processor=OneMoreInFlight),
    "ends reported at any time": Design(port=EndsOfAnyAge),
    "ends reported by a fetch under way": Design(port=EndsOfTheFetchUnderWay),
    "ends reported before a transaction's": Design(port=EndsBeforeTheOpen),
    "no refusals in the journal": Design(journal_refusals=False),
}
