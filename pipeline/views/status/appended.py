"""The number of records that were appended lately, by offsets alone: nothing is fetched."""

from collections import Counter
from collections.abc import Iterable

from endocrine.pipeline.kafka.clients import introduce, reader
from endocrine.pipeline.kafka.topic_reader import places_of
from endocrine.pipeline.process.settings import Settings


async def appended_since(settings: Settings, topics: Iterable[str], since: float) -> Counter[str]:
    """Return the records by topic (without prefix) from an append time on, seconds since 1970.

    Copies, and markers of transactions, count. Raises NoSuchTopic, KafkaError.
    """
    consumer = reader(settings)
    try:
        await consumer.start()
        names = await places_of(settings, topics, None)
        introduce(consumer, names)
        ends = await consumer.end_offsets(list(names))
        begins = await consumer.offsets_for_times(dict.fromkeys(names, int(since * 1000)))
    finally:
        await consumer.stop()
    found: Counter[str] = Counter({topic: 0 for topic, _ in names.values()})
    for place, (topic, _) in names.items():
        first = begins.get(place)
        found[topic] += 0 if first is None else max(0, ends[place] - first.offset)
    return found
