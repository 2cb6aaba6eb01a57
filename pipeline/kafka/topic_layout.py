"""Every topic as a worker needs it on the broker: those of the catalogue, their dead letters, the changelogs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from endocrine.pipeline.core.catalogue import CATALOGUE, FOREVER
from endocrine.pipeline.process.settings import Settings


@dataclass(frozen=True)
class PhysicalTopic:
    """One topic as it is on the broker: a topic of the catalogue, its dead letters, or an agent's changelog."""

    name: str
    """With the prefix."""
    partitions: int
    replication: int
    configs: Mapping[str, str]
    """The topic configs we set; the broker's defaults hold for the others."""
    summary: str


def changelog_name(settings: Settings, agent: str) -> str:
    """Return the topic of an agent's state."""
    return f"{settings.prefix}changelog.{agent}"


def physical_topics(settings: Settings, agent_names: Iterable[str]) -> list[PhysicalTopic]:
    """Return every topic that must exist before a worker joins: the catalogue in its order, then changelogs by
    agent."""
    topics = []
    append_time = {"message.timestamp.type": "LogAppendTime"}
    # Without a bound the broker compacts when half of a partition is superseded: what was erased could stay for ever.
    compaction = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(settings.compaction_most_lag_ms)}
    for topic in CATALOGUE.values():
        configs = append_time | {"max.message.bytes": str(settings.topic_message_bytes)}
        retention = {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
        if topic.segment_ms is not None:
            retention["segment.ms"] = str(topic.segment_ms)
        if topic.retention_ms == FOREVER:  # whatever size the broker's own settings keep
            retention["retention.bytes"] = "-1"
        cleanup = retention if topic.cleanup == "delete" else compaction
        topics.append((topic.name, cleanup | configs, topic.summary))
        if topic.owner is not None:
            # What was just taken must fit with the headers that say why it was refused.
            larger = {"max.message.bytes": str(settings.sizes.room(topic.dead_letters))}
            topics.append((topic.dead_letters, retention | configs | larger, f"dead letters of {topic.name}"))
    for agent in agent_names:
        configs = append_time | {"max.message.bytes": str(settings.changelog_message_bytes)}
        # The broker refuses a bound below the least age.
        most = max(settings.compaction_most_lag_ms, settings.compaction_lag_ms)
        configs |= compaction | {"max.compaction.lag.ms": str(most)}
        configs |= {"min.compaction.lag.ms": str(settings.compaction_lag_ms)}
        topics.append((f"changelog.{agent}", configs, f"the state of {agent}"))
    return [
        PhysicalTopic(settings.prefix + name, settings.partitions, settings.replication, configs, summary)
        for name, configs, summary in topics
    ]
