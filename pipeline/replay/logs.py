"""Topics as logs of records, read once from a broker: into memory, or through files where there are many."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.clients import READ_WAIT_MS, introduce
from pipeline.replay.spool import FileLog, Log, MemoryLog
from pipeline.settings import Settings

__all__ = ["FileLog", "Logs", "log_ends", "read_logs", "read_policies"]
Logs = Mapping[tuple[str, int], Sequence[Any]]
"""(topic without prefix, partition) to its records in offset order."""
Ends = Mapping[tuple[str, int], int]
"""(topic without prefix, partition) to the offset that its next record gets."""
SILENCE_S = 60.0
"""Seconds without one record after which reading fails, rather than waiting for ever on a broker that is gone."""


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * settings.topic_message_bytes,
        fetch_max_wait_ms=READ_WAIT_MS,
    )


def _places(settings: Settings, topics: Iterable[str]) -> dict[TopicPartition, tuple[str, int]]:
    return {
        TopicPartition(settings.prefix + topic, n): (topic, n) for topic in topics for n in range(settings.partitions)
    }


async def log_ends(settings: Settings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Where these topics end now.

    Asked of `journal` first and of the others afterwards, the journal's batches are said and read below these ends even
    while workers run: a batch's records are spoken before its journal record.
    """
    consumer = _consumer(settings)
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
    ends: Ends | None = None,
) -> dict[tuple[str, int], Any]:
    """All records that stand on these topics now.

    folder: where to hold them, one file per partition; in memory without it. progress: told the records read and the
    records there are. ends: read up to these offsets instead. Raises TimeoutError when a broker that has records to
    give gives none for a minute.
    """
    names = _places(settings, topics)
    upto = await log_ends(settings, {topic for topic, _ in names.values()}) if ends is None else ends
    logs: dict[tuple[str, int], Log] = {
        (topic, n): MemoryLog() if folder is None else FileLog(folder / f"{topic}-{n}.log")
        for topic, n in names.values()
    }
    consumer = _consumer(settings)
    try:
        await consumer.start()
        introduce(consumer, names)
        starts = await consumer.beginning_offsets(list(names))
        left = {place: upto[name] for place, name in names.items() if upto.get(name, 0) > starts[place]}
        if not left:
            return logs
        consumer.assign(list(left))
        await consumer.seek_to_beginning(*left)
        until = dict(left)
        done, total, heard = 0, sum(end - starts[place] for place, end in left.items()), time.monotonic()
        while left:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                heard = time.monotonic()
                wanted = [raw for raw in records if raw.offset < until[place]]
                logs[names[place]].extend(wanted)  # type: ignore[attr-defined]
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
