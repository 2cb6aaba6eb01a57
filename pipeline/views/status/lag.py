"""The number of records each agent has still to read, per partition."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.journal import journal_entry
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.fetching import Span
from endocrine.pipeline.process.roles import ROLES, Role, agents_of, group_of
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.consumer_lag import ConsumerLag, Where

JOURNAL_TAIL = 2000
"""Journal records read back per partition. What an agent read before them counts by the group's commits, which are late
and the lowest over all agents: of an agent that has not read for so long, the lag shown may be too high."""


class LagRow(NamedTuple):
    """One agent on one partition."""

    agent: str
    partition: int
    lag: int
    """Records of its topics that are on the partition and not yet read."""
    topics: dict[str, int]
    """The same by topic, where there are any."""
    next_offsets: Mapping[str, int] = {}
    """Offset that it reads next, of those topics."""


def lag_rows(consumer_lag: ConsumerLag, ends: dict[Where, int]) -> list[LagRow]:
    """Return the rows of all agents and partitions, in the order of the agents. Pure."""
    partitions = sorted({partition for _, partition in ends})
    rows = []
    for agent, sources in consumer_lag.sources.items():
        for partition in partitions:
            here = {topic: end for (topic, number), end in ends.items() if number == partition and topic in sources}
            topics = {topic: consumer_lag.lag({(topic, partition): end})[agent] for topic, end in here.items()}
            behind = {topic: count for topic, count in topics.items() if count}
            at = {topic: consumer_lag.next_offset(agent, (topic, partition)) for topic in behind}
            rows.append(LagRow(agent, partition, sum(topics.values()), behind, at))
    return rows


async def read_lag(settings: Settings, agents: Iterable[Agent]) -> list[LagRow]:
    """Return the lag now. Raises as `read_consumer_lag`."""
    return lag_rows(*await read_consumer_lag(settings, agents))


async def read_consumer_lag(settings: Settings, agents: Iterable[Agent]) -> tuple[ConsumerLag, dict[Where, int]]:
    """Return how far each agent is, and its topics' ends: ends first, so that what comes meanwhile counts as read.

    Raises aiokafka's KafkaError when the broker does not answer, TimeoutError when it gives no records.
    """
    agents = tuple(agents)
    consumer_lag = ConsumerLag(agents)
    sources = sorted({topic for agent in agents for topic in agent.sources})
    admin, consumer = admin_client(settings), reader(settings)
    try:
        await admin.start()
        await consumer.start()
        places = [TopicPartition(settings.prefix + t, n) for t in sources for n in range(settings.partitions)]
        journal = [TopicPartition(settings.prefix + "journal", n) for n in range(settings.partitions)]
        introduce(consumer, [*places, *journal])
        ends = await consumer.end_offsets([*places, *journal])
        begins = await consumer.beginning_offsets([*places, *journal])
        for place in places:
            consumer_lag.at_least(_where(settings, place), begins[place])
        await note_committed(admin, settings, agents, consumer_lag)
        spans = {place: (max(begins[place], ends[place] - JOURNAL_TAIL), ends[place]) for place in journal}
        pieces: AsyncGenerator[dict[TopicPartition, Span], None] = read_until(consumer, spans)
        async with aclosing(pieces) as found_pieces:
            async for piece in found_pieces:
                for records in piece.values():
                    for record in records:
                        if (entry := journal_entry(record.value)) is not None:
                            consumer_lag.journal(entry)
    finally:
        await consumer.stop()
        await admin.close()
    return consumer_lag, {_where(settings, place): ends[place] for place in places}


async def note_committed(
    admin: Any, settings: Settings, agents: Iterable[Agent], consumer_lag: ConsumerLag, groups: Iterable[Role] = ROLES
) -> None:
    """Note what workers committed, of each role to its group. admin: aiokafka's. Raises its KafkaError."""
    agents = tuple(agents)
    for role in groups:
        names = [agent.name for agent in agents_of(role, agents)]
        for place, found in (await admin.list_consumer_group_offsets(group_of(role, settings.group))).items():
            consumer_lag.committed(names, _where(settings, place), found.offset)


def _where(settings: Settings, place: TopicPartition) -> Where:
    return str(place.topic.removeprefix(settings.prefix)), int(place.partition)
