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
from endocrine.pipeline.data.backup.consistent_cut import read_cut
from endocrine.pipeline.data.backup.placement import Unplaceable
from endocrine.pipeline.data.backup.repartitioning import NotDrained, Repartitioning
from endocrine.pipeline.data.backup.translation import Place, Translation
from endocrine.pipeline.kafka import clients, connection
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.clients import introduce, reader
from endocrine.pipeline.kafka.members import members_of
from endocrine.pipeline.kafka.topic_layout import changelog_name
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.state_files import read_manifest, write_manifest, write_states

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
    partitions: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Restored:
    """Write a backup to a prefix that holds no records. group: whose connectors' offsets are set; by default ours.
    groups: whether they are set. partitions: of the new prefix; by default as many as before, and otherwise only of a
    backup in which every agent had read all.

    Raises RestoreRefused before anything is written, UnknownKeys, SealKeyError, TopicsError and KafkaError. One that
    ends early leaves a prefix that is not empty: delete its topics, or take another prefix.
    """
    verdict = await asyncio.to_thread(validate, folder, load_seals(settings))
    if not verdict["valid"]:
        raise RestoreRefused(f"{folder}: is not valid: {', '.join(verdict['errors'][:3])}")
    manifest = read_manifest(folder)
    if manifest["partitions"] != settings.partitions:
        raise RestoreRefused(
            f"{folder}: of {manifest['partitions']} partitions; expected {settings.partitions} (ENDOCRINE_PARTITIONS)"
        )
    other = settings.partitions if partitions is None else partitions
    target = settings.model_copy(update={"prefix": prefix, "group": group or settings.group, "partitions": other})
    old, new = (load_seals(settings.model_copy(update={"prefix": one})) for one in (manifest["prefix"], prefix))
    translation: Translation
    if partitions is None:
        translation = await asyncio.to_thread(Translation, folder, manifest, old, new)
    else:
        try:
            translation = await asyncio.to_thread(Repartitioning, folder, manifest, old, new, partitions)
        except (NotDrained, Unplaceable) as error:
            raise RestoreRefused(str(error)) from None
    await _refuse_records(target)
    await ensure_topics(target, [agent.name for agent in AGENTS])
    digests = await _write_records(target, translation, progress)
    states = await _write_changelogs(target, folder, translation)
    if groups:
        await _commit_groups(target, manifest["groups"], translation)
    verified = await _read_back(target, translation, digests)
    if partitions is not None:
        verified = verified and await _same_states(target, translation)
    snapshot = await asyncio.to_thread(_write_snapshot, folder, manifest, target, translation)
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
    consumer = reader(target, as_stored=True)
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
    digests = {place: hashlib.sha256() for place in translation.places}
    producer = _producer(target)
    await producer.start()
    try:
        written, total = 0, sum(translation.count(place) for place in translation.places)
        for topic, records in translation.streams():
            progress(written, total)
            flying = []
            for raw in records:
                _take(digests[topic, raw.partition], raw)
                name, headers = target.prefix + topic, list(raw.headers)
                flying.append(
                    await producer.send(name, raw.value, key=raw.key, partition=raw.partition, headers=headers)
                )
                written += 1
                if len(flying) >= _TOGETHER:
                    await asyncio.gather(*flying)
                    flying = []
            await asyncio.gather(*flying)
    finally:
        await producer.stop()
    return {place: digest.hexdigest() for place, digest in digests.items()}


def _take(digest: Any, raw: Any) -> None:
    digest.update(repr((raw.key, raw.value, [(name, content) for name, content in raw.headers])).encode())


async def _write_changelogs(target: Settings, folder: Path, translation: Translation) -> int:
    """The state of each unit, its checkpoint last: a changelog without one is that of a unit that never ran."""
    named, count = digest_of(folder), 0
    producer = _producer(target)
    await producer.start()
    try:
        for unit in translation.units():
            agent, _, n = unit.name.rpartition("/")
            topic, partition = changelog_name(target, agent), int(n)
            begun = await producer.send_and_wait(topic, b"restored " + named.encode(), EPOCH_KEY, partition)
            epoch, batch = begun.offset, unit.batch
            checkpoint = Checkpoint(
                epoch,
                batch,
                unit.next_offsets,
                produced=batch,
                slots=OUTBOX_SLOTS,
                encoded_journal_digest=named,
            )
            common = ((POLICY, unit.policy.encode()),) if unit.policy else ()
            items = [(state_key(key), state) for key, state in unit.states]
            items.append((outbox_key(batch, OUTBOX_SLOTS), compress_outbox(pack_outbox(Outbox(batch, common, [])))))
            headers = [(CLAIM_HEADER, b"%d" % epoch)]
            for begin in range(0, len(items), _TOGETHER):
                some = items[begin : begin + _TOGETHER]
                sent = [await producer.send(topic, value, key, partition, headers=headers) for key, value in some]
                await asyncio.gather(*sent)
            await producer.send_and_wait(
                topic, encode_checkpoint(checkpoint), CHECKPOINT_KEY, partition, headers=headers
            )
            count += len(unit.states)
    finally:
        await producer.stop()
    return count


async def _commit_groups(target: Settings, groups: dict[str, dict[str, int]], translation: Translation) -> None:
    """What connectors have finished is finished under the new prefix, too: no effect runs again for it."""
    for suffix, offsets in groups.items():
        finished = {(topic, n): offset for topic, n, offset in _places(offsets.items())}
        moved = {
            TopicPartition(target.prefix + topic, n): offset
            for (topic, n), offset in translation.group_offsets(finished).items()
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
    async for topic, n, records in batches(target, sorted({topic for topic, _ in expected}), as_stored=True):
        for raw in records:
            _take(digests[topic, n], raw)
    return all(digests[place].hexdigest() == digest for place, digest in expected.items())


async def _same_states(target: Settings, translation: Translation) -> bool:
    """Whether each key of each agent has the state that it had, on the partition where it belongs now."""
    there = await read_cut(target, [agent.name for agent in AGENTS])
    expected = {unit.name: dict(unit.states) for unit in translation.units()}
    return {name: unit.states for name, unit in there.items()} == expected


def _write_snapshot(folder: Path, manifest: dict[str, Any], target: Settings, translation: Translation) -> Path:
    """What replay begins from under the new prefix: the same states, at the new offsets."""
    prefix = target.prefix
    where = folder / "restored" / (prefix.rstrip(".") or "no-prefix")
    where.mkdir(parents=True, exist_ok=True)
    named = digest_of(folder)
    units = {
        unit.name: {
            "batch": unit.batch,
            "front": unit.next_offsets,
            "marks": {},
            "journal": named,
            "policy": unit.policy,
            **write_states(where, unit.name, unit.states),
        }
        for unit in translation.units()
    }
    write_manifest(
        where,
        {
            "prefix": prefix,
            "partitions": target.partitions,
            "version": manifest["version"],
            "taken_at": manifest["taken_at"],
            "restored_from": named,
            "units": units,
        },
    )
    return where
