"""Topics as logs of records, read once from a broker: into memory, or through files where there are many."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.record_log import FileLog, MemoryLog, RecordLog
from endocrine.pipeline.replay.recorded_seals import RecordedSeals

__all__ = ["FileLog", "Logs", "log_ends", "read_history", "read_logs", "read_policies"]
Logs = Mapping[tuple[str, int], Sequence[Any]]
"""(topic without prefix, partition) to its records in offset order."""
EndOffsets = Mapping[tuple[str, int], int]
"""(topic without prefix, partition) to the offset that its next record gets."""


def _places(settings: Settings, topics: Iterable[str]) -> dict[TopicPartition, tuple[str, int]]:
    return {
        TopicPartition(settings.prefix + topic, n): (topic, n) for topic in topics for n in range(settings.partitions)
    }


async def log_ends(settings: Settings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return where these topics end now.

    Asked of `journal` first and of the others afterwards, the journal's batches produced and read below these ends even
    while workers run: a batch's records are produced before its journal record.
    """
    consumer = reader(settings, as_stored=True)
    try:
        await consumer.start()
        names = list(topics)
        introduce(consumer, _places(settings, names))
        ends: dict[tuple[str, int], int] = {}
        for some in ([name for name in names if name == "journal"], [name for name in names if name != "journal"]):
            places = _places(settings, some)
            if places:
                ends |= {places[place]: end for place, end in (await consumer.end_offsets(list(places))).items()}
        return ends
    finally:
        await consumer.stop()


async def read_logs(
    settings: Settings,
    topics: Iterable[str],
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    ends: EndOffsets | None = None,
    prepare: Callable[[str, Sequence[Any]], Sequence[Any]] = lambda topic, records: records,
    as_stored: bool = True,
) -> dict[tuple[str, int], Any]:
    """Return all records that are on these topics now.

    folder: where to hold them, one file per partition; in memory without it. progress: called with the records read and
    the records there are. ends: read up to these offsets instead. prepare: what is kept of records of a topic.
    as_stored: content that is encrypted is left so; else it is in clear, and blank where it was erased.
    Raises TimeoutError when a broker that has records to give gives none for a minute.
    """
    names = _places(settings, topics)
    ends = await log_ends(settings, {topic for topic, _ in names.values()}) if ends is None else ends
    consumer = reader(settings, as_stored=as_stored)
    try:
        await consumer.start()
        introduce(consumer, names)
        starts = await consumer.beginning_offsets(list(names))
        logs: dict[tuple[str, int], RecordLog] = {}
        for place, (topic, n) in names.items():
            # Compaction takes records from the beginning, too, and the broker does not say so.
            begin = None if topic in CATALOGUE and CATALOGUE[topic].cleanup == "compact" else starts[place]
            file = None if folder is None else folder / f"{topic}-{n}.log"
            logs[topic, n] = MemoryLog(begin=begin) if file is None else FileLog(file, begin=begin)
        spans = {place: (starts[place], ends.get(name, 0)) for place, name in names.items()}
        done, total = 0, sum(max(0, end - first) for first, end in spans.values())
        async for found in read_until(consumer, spans):
            for place, records in found.items():
                logs[names[place]].extend(prepare(names[place][0], records))  # type: ignore[attr-defined]
                done += records.next_offset - records.first_offset
            if progress:
                progress(done, total)
        return logs
    finally:
        await consumer.stop()


async def read_history(
    settings: Settings,
    topics: Iterable[str],
    seals: RecordedSeals,
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    ends: EndOffsets | None = None,
    as_stored: bool = True,
) -> dict[tuple[str, int], Any]:
    """Return the same, prepared for replay: the journal first, for it lists which seals were not ours."""
    names = set(topics) | {"journal"}
    ends = await log_ends(settings, names) if ends is None else ends
    logs: dict[tuple[str, int], Any] = {}
    for some in (["journal"], sorted(names - {"journal"})):
        logs |= await read_logs(
            settings,
            some,
            folder=folder,
            progress=progress,
            ends=ends,
            prepare=seals.records,
            as_stored=as_stored,
        )
    return logs


async def read_policies(settings: Settings) -> dict[str, Any]:
    """Return published policies by digest, as resolved documents."""
    logs = await read_logs(settings, ["policies"])
    published = (orjson.loads(raw.value) for log in logs.values() for raw in log if raw.value)
    return {record["digest"]: record["policy"] for record in published}
