"""Memories of an older store (rules 8): taken over as they are there, by version.

An import with a version that is at least the stored one wins, one with a lower version never overwrites: so backfill
and dual writes may come in any order, and as often as they like. Nothing is promoted by an import, and a status that
is final here stays: `wrong_status`.
"""

from typing import Any

from endocrine.agents.contract import Output
from endocrine.agents.memory import entry as entries
from endocrine.agents.memory.entry import MemoryState
from endocrine.agents.memory.transitions import TRANSITIONS
from endocrine.schemas.commands import MemoryImport
from endocrine.schemas.memory import Source

_FOLLOWED = {(one.source, one.target) for change, one in TRANSITIONS.items() if change != "promote"}
"""Changes of status that an import makes; to promote a candidate takes its own command."""


def take_over(state: MemoryState | None, subject: str, value: MemoryImport) -> tuple[MemoryState | None, list[Output]]:
    """Return the memory as the older store has it, where that is at least as late; the same once more is nothing."""
    before = None if state is None else state["entry"]
    if before is None:
        after = entries.new_entry(
            value.memory_id,
            subject,
            type=value.type,
            content=value.content,
            slot=value.slot,
            status=value.status,
            confidence=value.confidence,
            strength=value.strength,
            source=Source(kind="import", exporter=value.store, artifact=value.origin),
            by=value.by,
            ts=value.ts,
        )
        after = {**after, "version": value.version, "created_ts": value.created_ts}
        event = entries.event("imported", None, after, value.by, value.ts)
        return {"entry": after, "interactions": [], "other_active": False}, _outputs(subject, event, after)
    refusal = _refusal(before, value)
    if refusal is not None:
        refused = entries.refused(subject, value.memory_id, before, refusal, value.by, value.ts)
        return state, [Output("memory-events", subject, refused)]
    wanted: dict[str, Any] = {"content": value.content, "status": value.status, "confidence": value.confidence}
    if value.strength is not None and state is not None and "opinions" not in state:
        wanted["strength"] = value.strength
    held: Any = before
    if all(held[name] == part for name, part in wanted.items()):
        return state, []
    content = entries.with_content(before, value.content, value.confidence, value.by, value.ts)
    changed: Any = {**content, **wanted, "version": value.version}
    event = entries.event("imported", before, changed, value.by, value.ts)
    kept: Any = {**(state or {}), "entry": changed}
    return kept, _outputs(subject, event, changed)


def _refusal(before: entries.Entry, value: MemoryImport) -> str | None:
    """Why the import has no effect. Subject, type and slot of a memory never change."""
    if value.version < before["version"]:
        return "older_version"
    if (value.type, value.slot) != (before["type"], before["slot"]):
        return "other_memory"
    if value.status != before["status"] and (before["status"], value.status) not in _FOLLOWED:
        return "wrong_status"
    return None


def _outputs(subject: str, event: dict[str, Any], entry: entries.Entry) -> list[Output]:
    return [Output("memory-events", subject, event), Output("memories", subject, entry)]
