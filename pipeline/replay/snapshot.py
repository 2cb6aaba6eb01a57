"""A snapshot taken live: the state of every unit, from the changelogs, while workers go on.

A checkpoint is one record batch, so where a changelog ends its states and its checkpoint are those of one batch number;
the checkpoint holds it, with the next offsets, the watermarks and the journal record's digest. Units need not be at one
moment: each is run on from its own batch.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, Entry, Recovered, entries_of
from endocrine.pipeline.core.checkpoint import decode_checkpoint
from endocrine.pipeline.core.outbox import last_outbox
from endocrine.pipeline.core.records import POLICY
from endocrine.pipeline.kafka.clients import introduce, read_until, reader
from endocrine.pipeline.kafka.topic_layout import changelog_name
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import SnapshotError, write_manifest, write_states


async def take_snapshot(
    settings: Settings,
    folder: Path,
    agents: Sequence[str],
    *,
    version: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a snapshot of all units into a new folder; returns its manifest.

    Raises SnapshotError when the folder holds something already or a changelog cannot be understood, TimeoutError when
    the broker gives nothing for a minute, KafkaError when it does not answer.
    """
    await asyncio.to_thread(_make, folder)
    processors: dict[str, Any] = {}
    consumer = reader(settings, as_stored=True, longest=settings.changelog_message_bytes)
    try:
        await consumer.start()
        names, numbers = [changelog_name(settings, agent) for agent in agents], range(settings.partitions)
        introduce(consumer, [TopicPartition(name, n) for name in names for n in numbers])
        total = len(agents) * settings.partitions
        for done, (agent, n) in enumerate((agent, n) for agent in agents for n in range(settings.partitions)):
            progress(done, total)
            about = await _processor(consumer, settings, agent, n, folder)
            if about is not None:
                processors[f"{agent}/{n}"] = about
        progress(total, total)
    finally:
        await consumer.stop()
    manifest = {
        "prefix": settings.prefix,
        "partitions": settings.partitions,
        "version": version,
        "taken_at": time.time(),
        "units": processors,
    }
    await asyncio.to_thread(write_manifest, folder, manifest)
    return manifest


def _make(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SnapshotError(f"{folder}: is not empty; expected a new folder for each snapshot")
    folder.mkdir(parents=True, exist_ok=True)


async def _processor(
    consumer: AIOKafkaConsumer, settings: Settings, agent: str, partition: int, folder: Path
) -> dict[str, Any] | None:
    """Write one unit's states; return its manifest entry. None before its first batch."""
    store: dict[bytes, bytes] = {}
    recovered = Recovered(store)
    async for entries in _entries(consumer, TopicPartition(changelog_name(settings, agent), partition)):
        recovered.apply(entries)
    written = store.pop(CHECKPOINT_KEY, None)
    if written is None:
        return None
    try:
        checkpoint = decode_checkpoint(written)
        outbox = last_outbox(checkpoint, store.get)
    except ValueError as error:
        raise SnapshotError(
            f"{agent}/{partition}: {changelog_name(settings, agent)}, partition {partition}, {error}"
        ) from None
    if outbox is None:
        return None
    states = ((key[1:].decode(), state) for key, state in sorted(store.items()) if key[:1] == b"s")
    about = await asyncio.to_thread(write_states, folder, f"{agent}/{partition}", states)
    policies = [content.decode() for name, content in outbox.common if name == POLICY and content]
    return {
        "batch": checkpoint.batch,
        "front": checkpoint.next_offsets,
        "marks": {name: list(height) for name, height in checkpoint.watermarks.items()},
        "journal": checkpoint.journal_digest,
        "policy": policies[0] if policies else None,
        **about,
    }


async def _entries(consumer: AIOKafkaConsumer, place: TopicPartition) -> AsyncIterator[list[Entry]]:
    """The changelog up to where it ends now, which is the end of a batch."""
    first = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    async for found in read_until(consumer, {place: (first, end)}):
        for records in found.values():
            yield entries_of(records)
