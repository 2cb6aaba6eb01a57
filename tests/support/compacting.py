"""Compaction and retention of a real broker, made quick enough to watch, and what its files hold meanwhile."""

import asyncio
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.process.settings import Settings

LOOKS_OFTEN = {
    "log.cleaner.backoff.ms": "100",
    "log.retention.check.interval.ms": "100",
    "log.initial.task.delay.ms": "100",
}
"""How often the broker itself looks for what is to be compacted and deleted: by default 15 s and 5 minutes."""
SHORT = {
    "segment.ms": "200",
    "delete.retention.ms": "200",
    "file.delete.delay.ms": "0",
    "min.cleanable.dirty.ratio": "0.0",
}
COMPACTED = {"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200"}
RETAINED = {"retention.ms": "200"}


class Needles(Protocol):
    """What is looked for."""

    def found_in(self, *contents: bytes) -> bool:
        """Return whether one of these holds it."""
        ...


async def shortened(settings: Settings, *, retention: bool = True) -> None:
    """Keep all promises of the topics in a moment; without `retention`, those of compaction alone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        for topic in physical_topics(settings, [agent.name for agent in AGENTS]):
            compacted = topic.configs["cleanup.policy"] == "compact"
            if not (compacted or retention):
                continue
            configs = {**topic.configs, **SHORT, **(COMPACTED if compacted else RETAINED)}
            (answer,) = await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=configs)]
            )
            assert answer.resources[0][0] == 0, answer
    finally:
        await admin.close()


async def others_go_on(settings: Settings, producer: AIOKafkaProducer) -> None:
    """Write one more record of nobody on each partition: a broker never compacts its active segment."""
    sent = [
        await producer.send(topic.name, b"{}", key=b"nobody", partition=n)
        for topic in physical_topics(settings, [agent.name for agent in AGENTS])
        for n in range(settings.partitions)
    ]
    await asyncio.gather(*sent)


def in_files(folder: Path, canary: Needles) -> list[str]:
    """Return files of the broker that hold a byte of it: segments, indexes, and what waits for deletion."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and canary.found_in(path.read_bytes()):
                found.append(path.name)
        except FileNotFoundError:
            continue  # deleted while we looked
    return found
