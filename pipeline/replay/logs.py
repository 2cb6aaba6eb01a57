"""Topics as lists of records, read once from a broker."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.settings import Settings

Logs = Mapping[tuple[str, int], Sequence[Any]]
"""(topic without prefix, partition) to its records in offset order."""


async def read_logs(settings: Settings, topics: Iterable[str]) -> dict[tuple[str, int], list[Any]]:
    """All records that stand on these topics now. Holds them in memory."""
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
        logs: dict[tuple[str, int], list[Any]] = {name: [] for name in names.values()}
        ends = {place: end for place, end in (await consumer.end_offsets(list(names))).items() if end > 0}
        if not ends:
            return logs
        consumer.assign(list(ends))
        await consumer.seek_to_beginning(*ends)
        left = dict(ends)
        while left:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                logs[names[place]].extend(raw for raw in records if raw.offset < ends[place])
            for place in list(left):
                if await consumer.position(place) >= left[place]:
                    del left[place]
                    consumer.pause(place)
        return logs
    finally:
        await consumer.stop()


async def read_policies(settings: Settings) -> dict[str, Any]:
    """Published policies by digest, as resolved documents."""
    import orjson

    logs = await read_logs(settings, ["policies"])
    published = (orjson.loads(raw.value) for log in logs.values() for raw in log if raw.value)
    return {record["digest"]: record["policy"] for record in published}
