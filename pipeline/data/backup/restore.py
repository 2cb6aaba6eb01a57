"""Restoring a backup to a new prefix: records first, then checkpoints behind them. Whatever is unsure is refused."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, CLAIM_HEADER, EPOCH_KEY, outbox_key, state_key
from endocrine.pipeline.core.checkpoint import OUTBOX_SLOTS, Checkpoint, encode_checkpoint
from endocrine.pipeline.core.outbox import Outbox, compress_outbox, pack_outbox
from endocrine.pipeline.core.records import POLICY
from endocrine.pipeline.data.backup.bundle import digest_of, validate
from endocrine.pipeline.data.backup.translation import Place, Translation
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.clients import introduce, reader
from endocrine.pipeline.kafka.members import members_of
from endocrine.pipeline.kafka.topic_layout import changelog_name
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import read_manifest, read_states, write_manifest, write_states

_TOGETHER = 2000
"""Records on their way to the broker at once."""


class RestoreRefused(Exception):
    """Nothing was written. The message names what is in the way."""


class Restored(NamedTuple):
    """What a restore did."""

    prefix: str
    records: int
    states: int
    verified: bool
    """Everything was read back, and is what was to be written."""
    snapshot: Path
    """What `replay verify --snapshot` begins from under the new prefix."""


async def refuse_members(settings: Settings) -> None:
    """Refuse while the deployment's groups have members. Raises RestoreRefused."""
    admin = connection.admin_client(settings)
    await admin.start()
    try:
        named = [group for group, *_ in await admin.list_consumer_groups()]
        for group in named:
            if (group == settings.group or group.startswith(settings.group + ".")) and await members_of(admin, group):
                raise RestoreRefused(f"group {group} has members; stop workers, connectors and projections first")
    finally:
        await admin.close()


async def restore(
    settings: Settings,
    folder: Path,
    prefix: str,
    *,
    group: str | None = None,
    groups: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Restored:
    """Write a backup to a prefix that holds no records. group: whose connectors' offsets are set; by default ours.
    groups: whether they are set.

    Raises RestoreRefused before anything is written, UnknownKeys, SealKeyError, TopicsError and KafkaError. One that
    ends early leaves a prefix that is not empty: delete its topics, or take another prefix.
    """
    verdict = await asyncio.to_thread(validate, folder)
    if not verdict["valid"]:
        raise RestoreRefused(f"{folder}: is not valid: {', '.join(verdict['errors'][:3])}")
    manifest = read_manifest(folder)
    if manifest["partitions"] != settings.partitions:
        raise RestoreRefused(
            f"{folder}: of {manifest['partitions']} partitions; expected {settings.partitions} (ENDOCRINE_PARTITIONS)"
        )
    target = settings.model_copy(update={"prefix": prefix, "group": group or settings.group})
    old, new = (load_seals(settings.model_copy(update={"prefix": one})) for one in (manifest["prefix"], prefix))
    translation = await asyncio.to_thread(Translation, folder, manifest, old, new)
    await _refuse_records(target)
    await ensure_topics(target, [agent.name for agent in AGENTS])
    digests = await _write_records(target, translation, progress)
    states = await _write_changelogs(target, folder, manifest, translation)
    if groups:
        await _commit_groups(target, manifest["groups"], translation)
    verified = await _read_back(target, translation, digests)
    snapshot = await asyncio.to_thread(_write_snapshot, folder, manifest, prefix, translation)
    total = sum(translation.count(place) for place in translation.places)
    return Restored(prefix, total, states, verified, snapshot)


async def has_topics(settings: Settings) -> bool:
    """Return whether the catalogue's topics exist under the settings' prefix."""
    admin = connection.admin_client(settings)
    await admin.start()
    try:
        return f"{settings.prefix}journal" in await admin.list_topics()
    finally:
        await admin.close()


async def drop(settings: Settings) -> None:
    """Delete every topic of a prefix that a drill has made."""
    admin = connection.admin_client(settings)
    await admin.start()
    try:
        if names := [name for name in await admin.list_topics() if name.startswith(settings.prefix)]:
            await admin.delete_topics(names)
    finally:
        await admin.close()


async def _refuse_records(target: Settings) -> None:
    admin = connection.admin_client(target)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(target.prefix)]
        described = await admin.describe_topics(names) if names else []
    finally:
        await admin.close()
    if not described:
        return
    places = [TopicPartition(one["topic"], part["partition"]) for one in described for part in one["partitions"]]
    consumer = reader(target)
    await consumer.start()
    try:
        introduce(consumer, places)
        ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    held = sorted({place.topic for place, end in ends.items() if end})
    if held:
        raise RestoreRefused(
            f"prefix {target.prefix!r} holds records ({', '.join(held[:3])}); offsets cannot be rewritten: give a new "
            "--prefix, and point workers at it (ENDOCRINE_PREFIX)"
        )


def _producer(target: Settings) -> AIOKafkaProducer:
    return connection.producer(
        target,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_request_size=max(target.changelog_message_bytes, 2 * target.topic_message_bytes),
    )


async def _write_records(
    target: Settings, translation: Translation, progress: Callable[[int, int], None]
) -> dict[Place, str]:
    digests: dict[Place, str] = {}
    producer = _producer(target)
    await producer.start()
    try:
        for done, place in enumerate(translation.places):
            progress(done, len(translation.places))
            digest, flying = hashlib.sha256(), []
            for raw in translation.records(place):
                _take(digest, raw)
                name = target.prefix + place[0]
                headers = list(raw.headers)
                flying.append(await producer.send(name, raw.value, key=raw.key, partition=place[1], headers=headers))
                if len(flying) >= _TOGETHER:
                    await asyncio.gather(*flying)
                    flying = []
            await asyncio.gather(*flying)
            digests[place] = digest.hexdigest()
    finally:
        await producer.stop()
    return digests


def _take(digest: Any, raw: Any) -> None:
    digest.update(repr((raw.key, raw.value, [(name, content) for name, content in raw.headers])).encode())


async def _write_changelogs(target: Settings, folder: Path, manifest: dict[str, Any], translation: Translation) -> int:
    """The state of each unit, its checkpoint last: a changelog without one is that of a unit that never ran."""
    named, count = digest_of(folder), 0
    producer = _producer(target)
    await producer.start()
    try:
        for unit, about in manifest["units"].items():
            agent, _, n = unit.rpartition("/")
            topic, partition = changelog_name(target, agent), int(n)
            begun = await producer.send_and_wait(topic, b"restored " + named.encode(), EPOCH_KEY, partition)
            epoch, batch = begun.offset, about["batch"]
            checkpoint = Checkpoint(
                epoch,
                batch,
                translation.next_offsets(unit),
                produced=batch,
                slots=OUTBOX_SLOTS,
                encoded_journal_digest=named,
            )
            policy = about["policy"]
            common = ((POLICY, policy.encode()),) if policy else ()
            states = list(read_states(folder, about))
            items = [(state_key(key), state) for key, state in states]
            items.append((outbox_key(batch, OUTBOX_SLOTS), compress_outbox(pack_outbox(Outbox(batch, common, [])))))
            headers = [(CLAIM_HEADER, b"%d" % epoch)]
            for begin in range(0, len(items), _TOGETHER):
                some = items[begin : begin + _TOGETHER]
                sent = [await producer.send(topic, value, key, partition, headers=headers) for key, value in some]
                await asyncio.gather(*sent)
            await producer.send_and_wait(
                topic, encode_checkpoint(checkpoint), CHECKPOINT_KEY, partition, headers=headers
            )
            count += len(states)
    finally:
        await producer.stop()
    return count


async def _commit_groups(target: Settings, groups: dict[str, dict[str, int]], translation: Translation) -> None:
    """What connectors have finished is finished under the new prefix, too: no effect runs again for it."""
    for suffix, offsets in groups.items():
        moved = {
            TopicPartition(target.prefix + topic, n): translation.next_offset(topic, n, offset)
            for topic, n, offset in _places(offsets.items())
        }
        if not moved:
            continue
        consumer = clients.consumer(target, group_id=target.group + suffix)
        await consumer.start()
        try:
            consumer.assign(list(moved))
            await consumer.commit(moved)
        finally:
            await consumer.stop()


def _places(offsets: Iterable[tuple[str, int]]) -> Iterable[tuple[str, int, int]]:
    for name, offset in offsets:
        topic, _, n = name.rpartition("/")
        yield topic, int(n), offset


async def _read_back(target: Settings, translation: Translation, expected: dict[Place, str]) -> bool:
    digests = {place: hashlib.sha256() for place in expected}
    async for topic, n, records in batches(target, sorted({topic for topic, _ in expected})):
        for raw in records:
            _take(digests[topic, n], raw)
    return all(digests[place].hexdigest() == digest for place, digest in expected.items())


def _write_snapshot(folder: Path, manifest: dict[str, Any], prefix: str, translation: Translation) -> Path:
    """What replay begins from under the new prefix: the same states, at the new offsets."""
    where = folder / "restored" / (prefix.rstrip(".") or "no-prefix")
    where.mkdir(parents=True, exist_ok=True)
    named = digest_of(folder)
    units = {
        unit: {
            "batch": about["batch"],
            "front": translation.next_offsets(unit),
            "marks": {},
            "journal": named,
            "policy": about["policy"],
            **write_states(where, unit, read_states(folder, about)),
        }
        for unit, about in manifest["units"].items()
    }
    write_manifest(
        where,
        {
            "prefix": prefix,
            "partitions": manifest["partitions"],
            "version": manifest["version"],
            "taken_at": manifest["taken_at"],
            "restored_from": named,
            "units": units,
        },
    )
    return where
