"""Making a backup: a consistent cut of the states first, then what lies on the topics; then it is validated."""

import asyncio
import hashlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import lasting_topics
from endocrine.pipeline.core.records import POLICY
from endocrine.pipeline.data.backup.bundle import OWED, TOPICS, RecordFile, sign, validate, write_verdict
from endocrine.pipeline.data.backup.consistent_cut import UnitState, next_offset, read_cut
from endocrine.pipeline.data.backup.cut_records import Compaction, is_compacted
from endocrine.pipeline.data.backup.erased import RECEIPTS, ErasedNames
from endocrine.pipeline.data.backup.retention import stamp_of
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import SnapshotError, write_manifest, write_states


async def create(
    settings: Settings,
    directory: Path,
    *,
    version: str,
    safety: bool = False,
    progress: Callable[[str], Callable[[int, int], None]] = lambda title: lambda done, total: None,
) -> tuple[str, dict[str, Any]]:
    """Write a backup into a new folder of the directory; return its name and its verdict.

    Of compacted topics it holds what compaction would leave, and of erased subjects none from before.

    Raises SnapshotError, SealKeyError, NoCut, NoSuchTopic, TimeoutError, OSError and KafkaError; what was written then
    has no valid verdict and does not count.
    """
    stamp = stamp_of(datetime.now(UTC), safety=safety)
    folder = directory / stamp
    if folder.exists():
        raise SnapshotError(f"{folder}: is there already; a backup is made once a second at most")
    (folder / TOPICS).mkdir(parents=True, mode=0o700)
    seals = await asyncio.to_thread(load_seals, settings)
    # States before topics: whatever the states say was produced then lies below the topics' ends.
    units = await read_cut(settings, [agent.name for agent in AGENTS], progress("changelogs"))
    groups = await _groups(settings)
    listed = await asyncio.to_thread(_write_states, folder, units)
    topics = await _write_topics(settings, folder, units, listed, progress("topics"))
    owed = await asyncio.to_thread(_write_owed, folder, units)
    manifest = {
        "prefix": settings.prefix,
        "partitions": settings.partitions,
        "version": version,
        "taken_at": time.time(),
        "created_at": stamp,
        "units": listed,
        "topics": topics,
        "owed": owed,
        "groups": groups,
    }
    await asyncio.to_thread(write_manifest, folder, manifest)
    await asyncio.to_thread(sign, folder, seals)
    verdict = await asyncio.to_thread(validate, folder, seals)
    await asyncio.to_thread(write_verdict, folder, verdict)
    return stamp, verdict


def _write_states(folder: Path, units: dict[str, UnitState]) -> dict[str, Any]:
    listed: dict[str, Any] = {}
    for name, unit in units.items():
        checkpoint = unit.checkpoint
        policies = [content.decode() for header, content in unit.last.common if header == POLICY and content]
        listed[name] = {
            "batch": checkpoint.batch,
            "produced": checkpoint.produced,
            "front": checkpoint.next_offsets,
            "marks": {mark: list(height) for mark, height in checkpoint.watermarks.items()},
            "journal": checkpoint.journal_digest,
            "policy": policies[0] if policies else None,
            **write_states(folder, name, unit.states.items()),
        }
    return listed


def _write_owed(folder: Path, units: dict[str, UnitState]) -> dict[str, Any]:
    packed = b"".join(
        msgpack.packb([name, outbox.batch, outbox.common, [tuple(out) for out in outbox.records]], use_bin_type=True)
        for name, unit in units.items()
        for outbox in unit.owed
    )
    (folder / OWED).write_bytes(packed)
    return {"file": OWED, "sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}


async def _write_topics(
    settings: Settings,
    folder: Path,
    units: dict[str, UnitState],
    listed: dict[str, Any],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    erased = ErasedNames()
    async for _, _, records in batches(settings, [RECEIPTS], as_stored=True):
        erased.learn(records)
    names = lasting_topics()
    places = [(name, n) for name in names for n in range(settings.partitions)]
    ends: dict[tuple[str, int], int] = {}
    owed = _owed_keys(units)
    files = {place: RecordFile(folder, *place) for place in places}
    compacted = {place: Compaction(listed, place[0], owed.get(place, ())) for place in places if is_compacted(place[0])}
    try:
        async for topic, n, records in batches(settings, names, progress=progress, on_ends=ends.update, as_stored=True):
            if (topic, n) in compacted:
                compacted[topic, n].add(records)
            else:
                files[topic, n].add(erased.without(topic, records, _read_by_all(units, topic, n)))
        for place, compaction in compacted.items():
            files[place].add(compaction.left())
    finally:
        found = {f"{topic}/{n}": file.close() | {"end": ends.get((topic, n), 0)} for (topic, n), file in files.items()}
    return found


def _owed_keys(units: dict[str, UnitState]) -> dict[tuple[str, int], set[bytes | None]]:
    found: dict[tuple[str, int], set[bytes | None]] = {}
    for unit in units.values():
        for outbox in unit.owed:
            for out in outbox.records:
                found.setdefault((out.topic, out.partition), set()).add(out.key)
    return found


def _read_by_all(units: dict[str, UnitState], topic: str, n: int) -> int:
    """The offset of the first record of a partition that some agent has not read. Of dead letters none reads any."""
    readers = [agent.name for agent in AGENTS if topic in agent.sources]
    return min((next_offset(units, f"{name}/{n}", topic) for name in readers), default=sys.maxsize)


async def _groups(settings: Settings) -> dict[str, dict[str, int]]:
    """What connectors have finished: by group, the committed offset of each `topic/partition` without prefix."""
    admin = connection.admin_client(settings)
    await admin.start()
    try:
        named = sorted(group for group, *_ in await admin.list_consumer_groups())
        found: dict[str, dict[str, int]] = {}
        for group in named:
            if not group.startswith(f"{settings.group}."):
                continue
            offsets = await admin.list_consumer_group_offsets(group)
            found[group.removeprefix(settings.group)] = {
                f"{place.topic.removeprefix(settings.prefix)}/{place.partition}": about.offset
                for place, about in offsets.items()
                if place.topic.startswith(settings.prefix) and about.offset >= 0
            }
        return found
    finally:
        await admin.close()
