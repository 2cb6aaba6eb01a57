"""What aiokafka's clients need to be told once."""

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

READ_WAIT_MS = 10
"""Milliseconds that a broker may wait for records, for readers of what stands there already (`fetch_max_wait_ms`). At
the end of one partition aiokafka still polls it, and only when that poll returns it asks for what was assigned next."""


def introduce(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
    """Make these partitions known to a started consumer of no group, at once and without fetching from them.

    Asked for offsets of topics that it does not know, it looks up one after the other and waits 0.1 s after each:
    seconds for a catalogue. Assigning tells it all of them; what is assigned later takes their place.
    """
    found = list(places)
    consumer.assign(found)
    consumer.pause(*found)
