"""State of the memory agent for one memory, and the parts of its changes. All functions return new values."""

from typing import Any, NotRequired, TypedDict

from endocrine.agents._shared.memories import digest_of, value_of
from endocrine.agents.memory.consensus import Opinions
from endocrine.schemas.memory import Source
from endocrine.schemas.vocabulary import MemoryStatus, MemoryType

DECIMALS = 6
"""Of a confidence that was reinforced."""


class StoredSource(TypedDict):
    """The fields of `schemas.memory.Source`, in that order."""

    kind: str
    interaction_id: str | None
    identities: list[str]
    rule: str | None
    chunk: str | None
    exporter: str | None
    artifact: str | None


class Entry(TypedDict):
    """The fields of `schemas.memory.Memory`, in that order."""

    memory_id: str
    subject: str
    type: MemoryType
    content: str
    slot: str | None
    value: str | None
    status: MemoryStatus
    confidence: float
    strength: float | None
    reference_count: int
    last_referenced_at: float | None
    source: StoredSource
    supersedes: str | None
    superseded_by: str | None
    open_conflict: str | None
    version: int
    created_ts: float
    by: str
    ts: float


class MemoryState(TypedDict):
    """The state of one memory."""

    entry: Entry
    interactions: list[str]
    """Digests of the ids of turns that reinforced it, oldest first."""
    other_active: bool
    """Whether another member of its open conflict is active."""
    opinions: NotRequired[Opinions]
    """What is held of it; absent before the first opinion."""


def new_entry(
    memory_id: str,
    subject: str,
    *,
    type: MemoryType,
    content: str,
    slot: str | None,
    status: MemoryStatus,
    confidence: float,
    strength: float | None,
    source: Source,
    by: str,
    ts: float,
) -> Entry:
    """Return a memory that was never changed. ts: event time, seconds."""
    stored: Any = source.model_dump()
    return {
        "memory_id": memory_id,
        "subject": subject,
        "type": type,
        "content": content,
        "slot": slot,
        "value": value_of(content, slot),
        "status": status,
        "confidence": confidence,
        "strength": strength,
        "reference_count": 0,
        "last_referenced_at": None,
        "source": stored,
        "supersedes": None,
        "superseded_by": None,
        "open_conflict": None,
        "version": 1,
        "created_ts": ts,
        "by": by,
        "ts": ts,
    }


def changed(entry: Entry, by: str, ts: float, **fields: Any) -> Entry:
    """Return the entry with other values of some fields, as its next version."""
    after: Any = {**entry, **fields, "version": entry["version"] + 1, "by": by, "ts": ts}
    return after  # type: ignore[no-any-return]


def with_content(entry: Entry, content: str, confidence: float, by: str, ts: float) -> Entry:
    """Return the entry with another content and confidence; the value of its slot follows the content."""
    return changed(entry, by, ts, content=content, value=value_of(content, entry["slot"]), confidence=confidence)


def reinforced(entry: Entry, delta: float, by: str, ts: float) -> Entry:
    """Return the entry after one more turn agreed with it. The confidence never falls, and never passes 1."""
    confidence = max(entry["confidence"], round(min(1.0, entry["confidence"] + delta), DECIMALS))
    latest = max(ts, entry["last_referenced_at"] or ts)
    count = entry["reference_count"] + 1
    return changed(entry, by, ts, confidence=confidence, reference_count=count, last_referenced_at=latest)


def interaction_mark(interaction_id: str) -> str:
    """Return the digest of a turn among those that reinforced a memory."""
    return digest_of(interaction_id)


def event(
    kind: str, before: Entry | None, after: Entry, by: str, ts: float, *, reason: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return the `memory-events` record of a change. more: fields that only some kinds have."""
    same = before is not None and (before["content"], before["status"]) == (after["content"], after["status"])
    return {
        "kind": kind,
        "subject": after["subject"],
        "memory_id": after["memory_id"],
        "type": after["type"],
        "content": None if same else after["content"],
        "slot": after["slot"],
        "value": after["value"],
        "old_status": None if before is None else before["status"],
        "new_status": after["status"],
        "confidence_before": None if before is None else before["confidence"],
        "confidence_after": after["confidence"],
        **more,
        "reason": reason,
        "by": by,
        "ts": ts,
    }


def refused(subject: str, memory_id: str, entry: Entry | None, reason: str, by: str, ts: float) -> dict[str, Any]:
    """Return the `memory-events` record of a command that had no effect."""
    status = None if entry is None else entry["status"]
    confidence = None if entry is None else entry["confidence"]
    return {
        "kind": "refused",
        "subject": subject,
        "memory_id": memory_id,
        "type": None if entry is None else entry["type"],
        "content": None,
        "slot": None if entry is None else entry["slot"],
        "value": None,
        "old_status": status,
        "new_status": status,
        "confidence_before": confidence,
        "confidence_after": confidence,
        "reason": reason,
        "by": by,
        "ts": ts,
    }
