"""The receipt of an erasure: what was erased, what still names the subject, where, and until when."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.data.backup.bundle import stamps_in
from endocrine.pipeline.data.backup.retention import time_of
from endocrine.pipeline.data.erasure.apply import Incomplete
from endocrine.pipeline.data.erasure.plan import Plan
from endocrine.pipeline.data.erasure.traces import Traces, dated
from endocrine.pipeline.kafka.admin import topic_configs
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.content_key_file import wrapping_keys
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.erasing import erase_views
from endocrine.pipeline.views.redis.keys import ViewKeys
from endocrine.pipeline.views.redis.store import connect
from endocrine.pipeline.views.redis.writes import TOPICS as PROJECTED

Json = dict[str, Any]
_AGAIN_S = 0.2
"""Seconds between two looks at how far the projection is."""


async def traces_on_topics(
    settings: Settings, plan: Plan, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[dict[str, Any], set[str]]:
    """Return what each topic holds that names the subject, and until when: every record of every topic is read; and the
    ids of memories that were from it.

    Raises NoSuchTopic, TimeoutError, TopicsError and KafkaError.
    """
    memory_ids = set(plan.memory_ids)
    extracted = Traces(plan.names)
    async for _, _, records in batches(settings, ["candidates"], as_stored=True):
        memory_ids.update(extracted.memory_ids(records))
    traces = Traces(plan.names, memory_ids)
    names = [topic.name for topic in physical_topics(settings, [agent.name for agent in AGENTS])]
    topics = [name.removeprefix(settings.prefix) for name in names]
    async for topic, partition, records in batches(settings, topics, progress=progress, as_stored=True):
        traces.look(topic, partition, records)
    found = [settings.prefix + topic for topic in traces.by_topic]
    configs = await topic_configs(settings, found)
    in_force = {name.removeprefix(settings.prefix): config for name, config in configs.items()}
    encrypted = bool(await asyncio.to_thread(wrapping_keys, settings))
    return dated(traces.by_topic, in_force, round(time.time() * 1000), encrypted=encrypted), memory_ids


async def erased_from_views(settings: Settings, plan: Plan, within_s: float) -> Json | None:
    """Delete what the read models hold of the subject, once the projection has read the tombstones; None without Redis.

    Raises Incomplete where it does not within so many seconds, RedisError where Redis is away.
    """
    if settings.redis_url is None:
        return None
    ends: dict[str, int] = {}

    def at_ends(found: Any) -> None:
        ends.update({f"{settings.prefix}{topic}/{n}": end for (topic, n), end in found.items() if end})

    async for _ in batches(settings, PROJECTED, on_ends=at_ends, since=time.time() + 1, as_stored=True):
        pass
    deadline = time.monotonic() + within_s
    async with connect(settings) as client:
        while True:
            stored: Any = await client.hgetall(keys.positions(settings.group))
            at = {name.decode(): int(offset) for name, offset in stored.items()}
            behind = [source for source, end in ends.items() if at.get(source, 0) < end]
            if not behind or not at:  # no projection has ever filled this Redis
                break
            if time.monotonic() >= deadline:
                raise Incomplete(
                    f"the projection has not read {len(behind)} partitions within {within_s:g} s; does one run?"
                )
            await asyncio.sleep(_AGAIN_S)
        return dict(sorted((await erase_views(client, ViewKeys(settings.prefix), plan.names)).items()))


def backups_holding(folder: Path, now: float) -> list[str]:
    """Return the backups in a folder that were made before: what was erased is in them until they are pruned."""
    made = [(stamp, time_of(stamp)) for stamp in stamps_in(folder)] if folder.is_dir() else []
    return [stamp for stamp, when in made if when is not None and when.timestamp() <= now]
