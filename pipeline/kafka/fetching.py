"""aiokafka's fetcher, made to read whatever a batch holds. This and `session_fetcher` alone touch private parts of it.

Stock aiokafka raises on a header name that is not UTF-8 and on a payload that it cannot decompress, at every reader and
for ever, and decompresses without bound. Three classes of `aiokafka.consumer.fetcher` are replaced by ours, for every
consumer of the process, Faust's included; `tests/unit/kafka/test_private_parts.py` names all that they rely on.

What `getmany` gives per partition is `Fetched`: besides the records it knows which offsets it covers, for markers of
transactions, aborted records and compaction take offsets that hold no record.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import consumer as consumers
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.structs import ConsumerRecord

from endocrine.pipeline.kafka.batches import MAGIC_AT, BatchHeader, Damaged, header_of, inflated, records_of
from endocrine.pipeline.kafka.codecs import Undecodable
from endocrine.pipeline.kafka.fetched_ends import Since
from endocrine.pipeline.kafka.session_fetcher import SessionFetcher
from endocrine.pipeline.kafka.unreadable import UNREADABLE, replacement_of

MAX_BATCH_BYTES = 64 << 20
"""Bytes that a batch may decompress to, where a consumer was not given its own bound."""
POLL_BYTES = 2 << 20
"""Bytes of one partition that are handed out at once: what is fetched compressed may be a thousand times as long."""
_RECORD_BYTES = 300
"""What a record takes in memory beside its content."""
_LENGTH = struct.Struct(">i").unpack_from
_LENGTH_AT, _OVERHEAD = 8, 12


class Bound:
    """How much a batch may decompress to, for one consumer: given as its `key_deserializer`, which is handed down to
    where batches are parsed. Keys stay as they are."""

    def __init__(self, max_batch_bytes: int) -> None:
        self.max_batch_bytes = max_batch_bytes

    def __call__(self, key: bytes | None) -> bytes | None:
        return key


class Span(list[Any]):
    """Records of one partition that were read together: all that can be read from `first_offset` on and below
    `next_offset`."""

    __slots__ = ("first_offset", "next_offset", "since", "skipped")
    first_offset: int
    next_offset: int
    since: Since | None
    """When they came, where a consumer fetched them."""
    skipped: list[tuple[int, int]]
    """From one offset up to another (exclusive): markers, and records of aborted transactions. Offsets without a record
    that are not in here were compacted away."""

    def __init__(
        self, records: Iterable[Any] = (), *, first: int = 0, after: int = 0, skipped: Iterable[tuple[int, int]] = ()
    ) -> None:
        super().__init__(records)
        self.first_offset, self.next_offset, self.skipped = first, after, list(skipped)
        self.since = None


class Fetched(Span):
    """What `getmany` gives of a partition. Without records it is still true where it covers offsets: aiokafka passes on
    what is true only, and to know that nothing is there is news. So ask `len` whether it holds records."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return self.next_offset > self.first_offset


def covered(records: Sequence[Any]) -> tuple[int, int]:
    """Return the first offset that these fetched records cover, and the one after the last; (0, 0) for nothing."""
    if isinstance(records, Span):
        return records.first_offset, records.next_offset
    return (records[0].offset, records[-1].offset + 1) if len(records) else (0, 0)


def below(records: Sequence[Any], end: int) -> Span:
    """Return what lies below this offset of records that were fetched."""
    first, after = covered(records)
    skipped = records.skipped if isinstance(records, Span) else ()
    if len(records) and records[-1].offset >= end:
        records = [raw for raw in records if raw.offset < end]
    return Span(records, first=first, after=min(after, end), skipped=[run for run in skipped if run[0] < end])


class Batches:
    """A fetch's bytes, batch by batch; the last one may be cut off and is left out."""

    def __init__(self, data: bytes | None) -> None:
        self._data = data or b""
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return their length in bytes."""
        return len(self._data)

    def has_next(self) -> bool:
        """Return whether a whole batch is left."""
        return self._end() is not None

    def next_batch(self) -> bytes | None:
        """Return the next one."""
        end = self._end()
        if end is None:
            return None
        found, self._at = self._data[self._at : end], end
        return found

    def _end(self) -> int | None:
        if len(self._data) - self._at < _OVERHEAD:
            return None
        end: int = self._at + _OVERHEAD + _LENGTH(self._data, self._at + _LENGTH_AT)[0]
        return end if self._at + MAGIC_AT < end <= len(self._data) else None


class TolerantRecords:
    """The records of one partition's fetch, one after the other: aiokafka's class, as far as it is used.

    aiokafka's own holds a generator that holds it. One that is dropped before its end, as those of a paused partition
    are, would hold a whole batch, decompressed, until the garbage collector comes; ours is no such circle.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        self.reader = RecordsReader(*given, **named)
        self._records = self.reader._unpack_records()

    def __iter__(self) -> Iterator[ConsumerRecord]:
        return self

    def __next__(self) -> ConsumerRecord:
        return next(self._records)

    @property
    def next_fetch_offset(self) -> int:
        """The offset to fetch from after the records so far."""
        return self.reader.next_fetch_offset


class RecordsReader(fetcher.PartitionRecords):  # type: ignore[misc]
    """Makes the records of one partition's fetch from its batches."""

    next_fetch_offset: int
    record_bytes = _RECORD_BYTES
    """About what a record of the batch at hand takes in memory."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.skipped: list[tuple[int, int]] = []
        """What was skipped since somebody took this list."""
        super().__init__(*given, **named)
        self._records_iterator = None  # the circle

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        while (raw := self._records.next_batch()) is not None:
            old = raw[MAGIC_AT] < 2
            batch = LegacyRecordBatch(raw, raw[MAGIC_AT]) if old else DefaultRecordBatch(raw)
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if self._aborted(batch) or batch.is_control_batch:
                self.skipped.append((batch.base_offset, batch.next_offset))
            else:
                yield from self._legacy(raw, batch) if old else self._readable(raw, batch)
            # Also beyond what compaction took from the batch's end.
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _aborted(self, batch: Any) -> bool:
        """Whether its transaction was aborted; the batches of a fetch must be asked about in their order."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)

    def _readable(self, raw: bytes, batch: Any) -> Iterator[ConsumerRecord]:
        header = header_of(raw)
        if header.codec:
            bound = self._key_deserializer
            limit = bound.max_batch_bytes if isinstance(bound, Bound) else MAX_BATCH_BYTES
            try:
                raw = inflated(raw, header, limit)
            except Undecodable as error:
                yield from self._unread(Damaged(header.base_offset, header.last_offset, raw, str(error)), header)
                return
            batch = DefaultRecordBatch(raw)
        self.record_bytes = _RECORD_BYTES + len(raw) // max(1, header.records)
        try:
            yield from self._records_of(batch, header.base_offset, header.last_offset, whole=header.whole)
        except Exception:  # whatever it is that aiokafka does not take
            yield from self._one_by_one(raw, header)

    def _legacy(self, raw: bytes, batch: Any) -> Iterator[ConsumerRecord]:
        try:
            yield from self._records_of(batch, 0, batch.next_offset - 1, whole=False)
        except Exception:
            last = batch.next_offset - 1
            yield from self._unread(Damaged(last, last, raw, "a batch of an old message format is corrupt"), None)

    def _records_of(self, batch: Any, due: int, last: int, *, whole: bool) -> Iterator[ConsumerRecord]:
        """due: the lowest offset that the first record may have; last: the highest of any. whole: see the header."""
        topic, partition = self._tp
        for record in batch:
            offset = record.offset
            if offset != due and (whole or not due <= offset <= last):
                raise CorruptRecordException(f"offset {offset}; expected {due}")
            due = offset + 1
            if offset >= self.next_fetch_offset:
                self.next_fetch_offset = offset + 1
                yield _consumer_record(
                    topic,
                    partition,
                    offset,
                    record.timestamp,
                    record.timestamp_type,
                    record.key,
                    record.value,
                    tuple(record.headers),
                )

    def _one_by_one(self, raw: bytes, header: BatchHeader) -> Iterator[ConsumerRecord]:
        topic, partition = self._tp
        for found in records_of(raw, header):
            if isinstance(found, Damaged):
                yield from self._unread(found, header)
            elif found.offset >= self.next_fetch_offset:
                self.next_fetch_offset = found.offset + 1
                offset, timestamp, key, value, headers = found
                kind = int(header.append_time)
                yield _consumer_record(topic, partition, offset, timestamp, kind, key, value, headers)

    def _unread(self, damaged: Damaged, header: BatchHeader | None) -> Iterator[ConsumerRecord]:
        if damaged.first >= self.next_fetch_offset:
            topic, partition = self._tp
            value, description = replacement_of(topic, partition, *damaged)
            timestamp = header.max_timestamp if header else -1
            kind = int(header.append_time) if header else 0
            self.next_fetch_offset = damaged.first + 1
            yield _consumer_record(
                topic, partition, damaged.first, timestamp, kind, None, value, ((UNREADABLE, description),)
            )


class SpanResult(fetcher.FetchResult):  # type: ignore[misc]
    """One partition's fetch, handed out in pieces of bounded size."""

    _partition_records: TolerantRecords | None

    def getall(self, max_records: int | None = None) -> Fetched:
        """Return the next records, at most about POLL_BYTES of them."""
        records = self._partition_records
        if records is None or not self.check_assignment(self._topic_partition):
            return Fetched()
        span = Fetched(first=records.next_fetch_offset)
        size = 0
        for record in records:
            span.append(record)
            size += records.reader.record_bytes
            if size >= POLL_BYTES or (max_records is not None and len(span) >= max_records):
                break
        else:
            self._partition_records = None
        span.next_offset = records.next_fetch_offset
        span.skipped, records.reader.skipped = records.reader.skipped, []
        self._assignment.state_value(self._topic_partition).consumed_to(span.next_offset)
        return span


def _consumer_record(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    timestamp_type: int,
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[str, bytes | None], ...],
) -> ConsumerRecord:
    sizes = -1 if key is None else len(key), -1 if value is None else len(value)
    return ConsumerRecord(topic, partition, offset, timestamp, timestamp_type, key, value, None, *sizes, headers)


REPLACED = {"MemoryRecords": Batches, "PartitionRecords": TolerantRecords, "FetchResult": SpanResult}
"""Names in `aiokafka.consumer.fetcher`, and what they refer to in this process."""


def _install() -> None:
    if missing := [name for name in REPLACED if not hasattr(fetcher, name)]:
        raise ImportError(
            f"aiokafka.consumer.fetcher has no {', '.join(missing)}: fit pipeline/kafka/fetching.py to it"
        )
    for name, ours in REPLACED.items():
        setattr(fetcher, name, ours)
    consumers.Fetcher = SessionFetcher


_install()


def hold_fetches(consumer: AIOKafkaConsumer, milliseconds: int) -> None:
    """Set how long the broker may hold fetches that find nothing (`fetch_max_wait_ms`), from the next one on.

    Any record ends a fetch, so what it costs to hold it long is only that a partition which is resumed waits for it.
    """
    consumer._fetcher._fetch_max_wait_ms = milliseconds


def bind(consumer: AIOKafkaConsumer, *, isolation_level: str, max_batch_bytes: int, fetch_max_bytes: int) -> None:
    """Set what Faust does not let one choose, of a consumer that it made and has not started."""
    consumer._isolation_level = isolation_level
    consumer._key_deserializer = Bound(max_batch_bytes)
    consumer._fetch_max_bytes = fetch_max_bytes
