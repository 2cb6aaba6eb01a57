"""The journal's record of a batch: what was read, in which order (architecture, section 5)."""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from endocrine.pipeline.core.formats import JOURNAL, UnknownFormat, refusal
from endocrine.pipeline.core.records import CE_ID, SEAL, Header, Headers, OutputRecord, SourceRecord
from endocrine.pipeline.core.seals import Seals
from endocrine.schemas.proofs import JournalEntry

_NULL = b"\xff\xff\xff\xff"
_size = struct.Struct(">I").pack
_TYPE = b"endocrine.journal.v"
"""Of its `ce_type`, which ends in the version of the record."""


def inputs_digest(records: Iterable[tuple[str, SourceRecord]]) -> str:
    """Return SHA-256 over keys and values in order, each after its length (4 bytes, big-endian; ff ff ff ff for
    null)."""
    parts: list[bytes] = []
    for _, raw in records:
        key, value = raw.key, raw.value
        if key is None or value is None:
            parts += (_sized(key), _sized(value))
        else:
            parts.append(b"%b%b%b%b" % (_size(len(key)), key, _size(len(value)), value))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _sized(part: bytes | None) -> bytes:
    return _NULL if part is None else _size(len(part)) + part


def runs_of(records: Iterable[tuple[str, SourceRecord]]) -> list[list[str | int]]:
    """Return [topic, first offset, count] in the order read; offsets within a run follow each other."""
    runs: list[list[str | int]] = []
    topic, next_offset = "", -1
    run: list[Any] = []
    for name, raw in records:
        if name == topic and raw.offset == next_offset:
            run[2] += 1
        else:
            topic, run = name, [name, raw.offset, 1]
            runs.append(run)
        next_offset = raw.offset + 1
    return runs


def journal_record(
    agent: str,
    partition: int,
    batch: int,
    records: Sequence[tuple[str, SourceRecord]],
    *,
    previous: str | None,
    policy: str,
    version: str,
    epoch: int,
    seals: Seals,
    refused: str | None = None,
    forged: Sequence[tuple[str, int]] = (),
    keys: Sequence[str] | None = None,
    unreadable: Sequence[tuple[str, int]] = (),
) -> OutputRecord:
    """Return the batch's journal record, last in its outbox.

    previous: SHA-256 of the previous one's bytes. refused: why nothing of the batch was processed, where that is so.
    forged: (topic, offset) of records that carried a seal that was none of ours. keys: ids of those that content was
    encrypted with; None: it is in clear. unreadable: (topic, offset) of records whose key was destroyed by then.
    """
    entry: dict[str, Any] = {
        "agent": agent,
        "partition": partition,
        "batch": batch,
        "runs": runs_of(records),
        "inputs": inputs_digest(records),
        "previous": previous,
        "policy": policy,
        "version": version,
        "claim": epoch,
    }
    if refused is not None:
        entry["refused"] = refused
    if forged:
        entry["forged"] = forged
    if keys is not None:
        entry["keys"] = keys
    if unreadable:
        entry["unreadable"] = unreadable
    value = orjson.dumps(entry)
    key, ce_id = f"{agent}/{partition}".encode(), journal_id(f"{agent}/{partition}", batch)
    own = journal_headers(key, ce_id, seals.seal("journal", partition, key, value, ce_id))
    return OutputRecord("journal", partition, key, value, own, True)


def journal_id(processor: str, batch: int) -> bytes:
    """Return the `ce_id` of a batch's journal record. processor: `agent/partition`."""
    return f"journal/{processor}/{batch}".encode()


def journal_headers(key: bytes, ce_id: bytes, seal: bytes) -> tuple[Header, ...]:
    """Return the headers that a journal record has before those of its batch. key: its own, `agent/partition`."""
    return ((CE_ID, ce_id), ("ce_type", _TYPE + b"%d" % JOURNAL.writes), ("ce_subject", key), (SEAL, seal))


def journal_entry(value: bytes | None) -> Mapping[str, Any] | None:
    """Return a journal record's content; None of what somebody else wrote there."""
    try:
        return JournalEntry.model_validate_json(value or b"").model_dump()
    except ValidationError:
        return None


def unknown_version(headers: Headers) -> UnknownFormat | None:
    """Return why a journal record cannot be read, by the version that its headers name; None where it can, or where
    they name none."""
    named = dict(headers).get("ce_type") or b""
    version = named.removeprefix(_TYPE).decode("ascii", "replace")
    if named == _TYPE + version.encode() and version.isdecimal() and int(version) not in JOURNAL.reads:
        return refusal(JOURNAL, int(version))
    return None
