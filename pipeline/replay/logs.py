"""Topics as lists of records, read once from a broker: into memory, or through files where there are many."""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import msgpack
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.engine.wire import Fetched
from pipeline.settings import Settings

Logs = Mapping[tuple[str, int], Sequence[Any]]
"""(topic without prefix, partition) to its records in offset order."""
SILENCE_S = 60.0
"""Seconds without one record after which reading fails, rather than waiting for ever on a broker that is gone."""


class FileLog(Sequence[Fetched]):
    """The records of one partition in a file; only their places in it are in memory (8 bytes a record)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places = array("Q")
        self._end = 0

    def extend(self, records: Iterable[Any]) -> None:
        """Append records, in offset order."""
        parts = []
        for raw in records:
            packed = msgpack.packb(
                (raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, [*map(tuple, raw.headers)])
            )
            self._places.append(self._end)
            self._end += len(packed)
            parts.append(packed)
        self._file.seek(0, 2)
        self._file.write(b"".join(parts))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Fetched: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fetched]: ...
    def __getitem__(self, index: int | slice) -> Fetched | Sequence[Fetched]:
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"a step of {step} in a slice of a log; expected 1")
            return self._read(first, last)
        return self._read(index, index + 1)[0]

    def __iter__(self) -> Iterator[Fetched]:
        for first in range(0, len(self), 1000):
            yield from self._read(first, min(first + 1000, len(self)))

    def _read(self, first: int, last: int) -> list[Fetched]:
        if not 0 <= first < last <= len(self):
            if first == last:
                return []
            raise IndexError(f"records {first} to {last} of a log of {len(self)}")
        begin, end = self._places[first], self._places[last] if last < len(self) else self._end
        self._file.seek(begin)
        unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=0)
        unpacker.feed(self._file.read(end - begin))
        return [Fetched(*fields) for fields in unpacker]


async def read_logs(
    settings: Settings,
    topics: Iterable[str],
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[tuple[str, int], Any]:
    """All records that stand on these topics now.

    folder: where to hold them, one file per partition; in memory without it. progress: told the records read and the
    records there are. Raises TimeoutError when a broker that has records to give gives none for a minute.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * settings.topic_message_bytes,
    )
    await consumer.start()
    try:
        names = {
            TopicPartition(settings.prefix + topic, n): (topic, n)
            for topic in topics
            for n in range(settings.partitions)
        }
        logs: dict[tuple[str, int], Any] = {
            (topic, n): [] if folder is None else FileLog(folder / f"{topic}-{n}.log") for topic, n in names.values()
        }
        ends = {place: end for place, end in (await consumer.end_offsets(list(names))).items() if end > 0}
        if not ends:
            return logs
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        left = dict(ends)
        done, total, heard = 0, sum(ends.values()), time.monotonic()
        while left:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                heard = time.monotonic()
                wanted = [raw for raw in records if raw.offset < ends[place]]
                logs[names[place]].extend(wanted)
                done += len(wanted)
            if progress:
                progress(done, total)
            for place in list(left):
                if await consumer.position(place) >= left[place]:
                    del left[place]
                    consumer.pause(place)
            if left and time.monotonic() - heard > SILENCE_S:
                raise TimeoutError(f"no record for {SILENCE_S:.0f} s, {len(left)} partitions unread: {list(left)[:3]}")
        return logs
    finally:
        await consumer.stop()


async def read_policies(settings: Settings) -> dict[str, Any]:
    """Published policies by digest, as resolved documents."""
    logs = await read_logs(settings, ["policies"])
    published = (orjson.loads(raw.value) for log in logs.values() for raw in log if raw.value)
    return {record["digest"]: record["policy"] for record in published}
