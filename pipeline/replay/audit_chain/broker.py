"""Verifying and signing the records on a broker."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.cloud_events import cloud_event
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import SEAL
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.kafka import connection
from endocrine.pipeline.kafka.topic_reader import PartitionKey, batches
from endocrine.pipeline.process.seal_keys import KeyFileError, known_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.audit_chain.checkpoint import TOPIC, Book, pins_of, sign
from endocrine.pipeline.replay.audit_chain.keys import key_id
from endocrine.pipeline.replay.audit_chain.links import TOPICS, Break
from endocrine.pipeline.replay.audit_chain.verify import Report, Verification, report_of

Progress = Callable[[int, int], None]


class Unsound(Exception):
    """What would be signed is broken: a signature over it would vouch for it."""

    def __init__(self, findings: Sequence[Break]) -> None:
        super().__init__(f"{len(findings)} findings, the first: {findings[0]}")
        self.findings = findings


async def read_book(settings: Settings, keys: Mapping[str, Ed25519PublicKey], files: Iterable[Path] = ()) -> Book:
    """Return the checkpoints of the topic and of files (one JSON object per line), chained. Raises KeyFileError."""
    book = Book(keys)
    async with aclosing(batches(settings, [TOPIC], as_stored=True)) as found:
        async for _, partition, records in found:
            for raw in records:
                book.add(raw.value or b"", TOPIC, partition, raw.offset, raw.timestamp)
    for file in files:
        try:
            lines = await asyncio.to_thread(file.read_bytes)
        except OSError as error:
            raise KeyFileError(f"{file}: cannot be read: {error.strerror}; expected one checkpoint a line") from None
        for number, line in enumerate(lines.splitlines(), 1):
            book.add(line, str(file), 0, number)
    book.chained()
    return book


async def verify(
    settings: Settings,
    keys: Mapping[str, Ed25519PublicKey],
    *,
    files: Iterable[Path] = (),
    partition: int | None = None,
    restored_from: Collection[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Return the report on one partition, or on all. restored_from: digests of backups that journals may begin
    after."""
    # Checkpoints first: what they name is on its topic by then, whatever is appended meanwhile.
    book = await read_book(settings, keys, files)
    pins = {chain: pin for chain, pin in pins_of(book.good.values()).items() if partition in (None, chain[1])}
    seen = await _followed(
        settings, lambda: Verification(pins, restored_from=restored_from), partition=partition, progress=progress
    )
    return report_of(book, seen)


async def checkpoint(
    settings: Settings,
    private: Ed25519PrivateKey,
    now: float,
    *,
    restored_from: Collection[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any] | None:
    """Sign the ends of all chains, and send the checkpoint; None when nothing moved since this key's last checkpoint.

    Reads on from that one. now: seconds since 1970. Raises Unsound, and signs nothing, where what was read is broken.
    """
    public = private.public_key()
    book = await read_book(settings, {key_id(public): public})
    last = book.last_of(key_id(public))
    if book.findings:
        raise Unsound(book.findings)
    pins = pins_of([last] if last else [])
    starts: dict[PartitionKey, int] = {}
    for (topic, number, _), found in pins.items():
        starts[topic, number] = min(found[0].offset, starts.get((topic, number), found[0].offset))
    seen = await _followed(
        settings,
        lambda: Verification(pins, skipped=bool(last), restored_from=restored_from),
        starts=starts,
        progress=progress,
    )
    if seen.findings:
        raise Unsound(seen.findings)
    audits, journal = _ends(seen, last)
    if last and (audits, journal) == (last["audits"], last["journal"]):
        return None
    record = sign(private, last, now, audits, journal)
    await _send(settings, record)
    return record


async def _followed(settings: Settings, verification: Callable[[], Verification], **how: Any) -> Verification:
    """All chains, followed without the records that carry no seal of ours; where one breaks then, with them.

    Whoever may write a topic may put anything between our records, and no chain needs it. A record of ours that was
    changed has no valid seal either, nor has one from before there were seals, or under a key that is gone; but without
    it its chain breaks.
    """
    seen, seals = verification(), known_seals(settings)
    await _follow(settings, seen, lambda topic, raw: _is_ours(seals, topic, raw), **how)
    if seen.foreign and (seen.findings or not seen.records):
        seen = verification()
        await _follow(settings, seen, lambda topic, raw: True, **how)
    return seen


def _is_ours(seals: KeyedSeals | None, topic: str, raw: Any) -> bool:
    """Whether a record carries a seal of ours; without a key, whether it carries one."""
    headers = dict(raw.headers or ())
    return SEAL in headers if seals is None else seals.valid(topic, raw, headers)


async def _follow(settings: Settings, seen: Verification, ours: Callable[[str, Any], bool], **how: Any) -> None:
    ends: dict[PartitionKey, int] = {}
    async with aclosing(
        batches(settings, TOPICS, on_ends=ends.update, on_skipped=seen.skip, **how, as_stored=True)
    ) as found:
        async for topic, _, records in found:
            for raw in records:
                if ours(topic, raw):
                    seen.feed(topic, raw)
                else:
                    seen.leave_out(topic, raw)
    seen.finish(ends)


def _ends(seen: Verification, last: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The ends of the chains; of a chain whose records are all gone by retention, the last checkpoint's."""
    audits = {end["partition"]: dict(end) for end in last["audits"]} if last else {}
    journal = {(end["agent"], end["partition"]): dict(end) for end in last["journal"]} if last else {}
    for (topic, partition, agent), walk in seen.walks.items():
        tip = walk.tip
        if tip is None:
            continue
        if topic == "audits":
            audits[partition] = {"partition": partition, "offset": tip.offset, "hash": tip.hash, "count": walk.count}
        else:
            place = {"agent": agent, "partition": partition, "offset": tip.offset}
            journal[agent, partition] = place | {"batch": tip.number, "digest": tip.hash}
    return [audits[n] for n in sorted(audits)], [journal[place] for place in sorted(journal)]


async def _send(settings: Settings, record: Mapping[str, Any]) -> None:
    producer = connection.producer(
        settings,
        enable_idempotence=True,
        max_request_size=settings.topic_message_bytes,
    )
    key = record["key_id"]
    ce_id = f"checkpoint/{key}/{record['number']}".encode()
    headers = cloud_event(ce_id, "endocrine/audit", CATALOGUE[TOPIC].ce_type, key.encode(), record["ts"])
    await producer.start()
    try:
        await producer.send_and_wait(
            settings.prefix + TOPIC,
            orjson.dumps(record),
            key=key.encode(),
            partition=partition_of(key, settings.partitions),
            headers=headers,
        )
    finally:
        await producer.stop()
