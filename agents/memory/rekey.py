"""Memories of one subject that become another's (memory, section 2).

A memory keeps its id. One that says what a memory of the adopting subject says is moved as superseded by that one,
which takes its references over: two adoptions, one under each of the two keys.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from endocrine.agents._shared.memories import content_digest
from endocrine.agents._shared.moving import Conflict, Move
from endocrine.agents.contract import Erased, Output, State
from endocrine.agents.memory import consensus
from endocrine.agents.memory.consensus import Opinions
from endocrine.agents.memory.entry import Entry, MemoryState, changed
from endocrine.schemas.memory import Memory

IN_FORCE = ("candidate", "active")
"""Statuses of memories that another of the same type and content can supersede."""


def merge(old: State, state: State, move: Move) -> tuple[MemoryState, list[Output]]:
    """Return the memory under its new subject, or the one there with the other's references added, and its record.

    Raises Conflict (other_memory) where the two do not say the same.
    """
    entry = cast(Entry, Memory.model_validate({**old["entry"], "subject": move.subject}).model_dump())
    known = cast(MemoryState | None, state)
    if known is None:
        moved: MemoryState = {
            "entry": entry,
            "interactions": list(old["interactions"]),
            "other_active": bool(old["other_active"]),
        }
        if "opinions" in old:
            moved["opinions"] = cast(Opinions, old["opinions"])
        return moved, [Output("memories", move.subject, entry)]
    if known["entry"]["memory_id"] == entry["memory_id"]:
        return known, []
    if digest_of_entry(entry) != digest_of_entry(known["entry"]):
        raise Conflict("other_memory")
    interactions = [*(one for one in old["interactions"] if one not in known["interactions"]), *known["interactions"]]
    times = [ts for one in (entry, known["entry"]) if (ts := one["last_referenced_at"]) is not None]
    command = move.trigger.value
    united = changed(
        known["entry"],
        command.by,
        command.ts,
        confidence=max(entry["confidence"], known["entry"]["confidence"]),
        reference_count=entry["reference_count"] + known["entry"]["reference_count"],
        last_referenced_at=max(times, default=None),
    )
    if "opinions" in old or "opinions" in known:
        rules = move.policy.document.memory.consensus
        opinions = consensus.united(old.get("opinions", consensus.EMPTY), known.get("opinions", consensus.EMPTY), rules)
        united = {**united, "strength": consensus.tally(opinions["voters"], rules).strength}
        known = {**known, "opinions": opinions}
    kept = interactions[-move.policy.document.memory.interactions_remembered :]
    return {**known, "entry": united, "interactions": kept}, [Output("memories", move.subject, united)]


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the memory."""
    return [Output("memories", subject, Erased(memory_id=state["entry"]["memory_id"]))]


def digest_of_entry(entry: Entry) -> str:
    """Return the digest of a memory's type and normalized content."""
    return content_digest(entry["type"], entry["content"])


def in_force(states: Iterable[MemoryState]) -> dict[str, Entry]:
    """Return the memories that are candidates or active, by type and content; of equal ones an active one."""
    found: dict[str, Entry] = {}
    for one in states:
        entry = one["entry"]
        digest = digest_of_entry(entry)
        if entry["status"] in IN_FORCE and (digest not in found or entry["status"] == "active"):
            found[digest] = entry
    return found


def duplicate_of(entry: Entry, known: Mapping[str, Entry]) -> Entry | None:
    """Return the memory that supersedes one that is moved: of the same type and content, in force, and no candidate
    where the moved one is active. None where it is moved as it is. known: of the adopting subject, as `in_force`."""
    other = known.get(digest_of_entry(entry))
    if entry["status"] not in IN_FORCE or other is None:
        return None
    return None if (entry["status"], other["status"]) == ("active", "candidate") else other


def superseded(state: MemoryState, by: str) -> MemoryState:
    """Return a memory as it is moved where another, with the id `by`, says the same."""
    entry: Entry = {**state["entry"], "status": "superseded", "superseded_by": by, "open_conflict": None}
    return {**state, "entry": {**entry, "version": entry["version"] + 1}, "other_active": False}
