"""What the ledger's entries of two subjects are together (memory, section 2)."""

from collections.abc import Iterable
from typing import cast

from endocrine.agents._shared.moving import Conflict, Move
from endocrine.agents.bonds.entry import Entry, read_entry, touched
from endocrine.agents.bonds.memory import BondState
from endocrine.agents.bonds.rules import BondRules
from endocrine.agents.contract import Erased, Output, State

_NOTE_TIME = len("2026-01-01 00:00")
"""Characters that a note begins with: when it was written."""


def merge(old: State, state: State, move: Move) -> tuple[BondState, list[Output]]:
    """Return the entry of both, an `admin_action` event and the entry as records.

    The event carries cap, count and reset time as that of an import does, so that the modulation holds to the cap.
    Raises Conflict: daily_msg_cap, import_in_progress, too_many_nodes.
    """
    moved, known = cast(BondState, old), cast(BondState | None, state)
    rules = move.policy.document.bonds
    if "adopting" in moved or (known is not None and "adopting" in known):
        raise Conflict("import_in_progress")
    entry = read_entry({**moved["entry"], "user_id": move.subject})
    after: BondState = {**moved}
    if known is not None:
        entry = united(entry, read_entry(known["entry"]), rules)
        after = {
            "entry": entry,
            "commands": [*moved["commands"], *known["commands"]][-rules.commands_remembered :],
        }
        clocks = [clock for one in (moved, known) if (clock := one.get("clock")) is not None]
        if clocks:
            after["clock"] = max(clocks)
        if held := [*moved.get("held", []), *known.get("held", [])]:
            after["held"] = held[-rules.held_remembered :]
    if len(entry["peak_nodes"]) > rules.nodes_kept:
        raise Conflict("too_many_nodes")
    command = move.trigger.value
    entry = touched(entry, command.ts)
    event = {
        "identity": move.subject,
        "timestamp": command.ts,
        "event_type": "admin_action",
        "detail": f"rekey {move.old} by {command.by}",
        "data": {"old": None if known is None else known["entry"]["daily_msg_cap"], "new": entry["daily_msg_cap"]},
        "imported": {
            "command": move.trigger.id,
            "outcome": "taken",
            "cap": entry["daily_msg_cap"],
            "count": entry["daily_msg_count"],
            "reset_at": entry["daily_msg_reset_at"],
        },
    }
    outputs = [Output("bond-events", move.subject, event), Output("bonds", move.subject, entry)]
    return {**after, "entry": entry}, outputs


def erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return the tombstone of the entry."""
    return [Output("bonds", subject, Erased())]


def united(old: Entry, new: Entry, rules: BondRules) -> Entry:
    """Return one entry of two: what the later says, the greater peaks, the counters of one day together.

    Raises Conflict (daily_msg_cap) where both have a cap, and not the same.
    """
    caps = old["daily_msg_cap"], new["daily_msg_cap"]
    if all(caps) and caps[0] != caps[1]:
        raise Conflict("daily_msg_cap")
    later = old if old["last_updated"] > new["last_updated"] else new
    peaks = dict(new["peak_nodes"])
    for node, peak in old["peak_nodes"].items():
        peaks[node] = max(peak, peaks.get(node, peak))
    reset_at = max(old["daily_msg_reset_at"], new["daily_msg_reset_at"])
    counted = [one["daily_msg_count"] for one in (old, new) if reset_at - one["daily_msg_reset_at"] <= rules.day_s]
    kept, _ = merged_notes(old["notes"], new["notes"], rules.notes_kept)
    return {
        **later,
        "user_id": new["user_id"],
        "peak_nodes": peaks,
        "daily_msg_cap": max(caps),
        "daily_msg_count": sum(counted),
        "daily_msg_reset_at": reset_at,
        "notes": kept,
        "last_updated": later["last_updated"],
    }


def merged_notes(old: list[str], new: list[str], most: int) -> tuple[list[str], list[str]]:
    """Return the notes of two entries by the time each begins with, equal times old first: those kept, those dropped.

    >>> merged_notes(["2026-01-02 10:00 b"], ["2026-01-01 10:00 a", "2026-01-03 10:00 c"], 2)
    (['2026-01-02 10:00 b', '2026-01-03 10:00 c'], ['2026-01-01 10:00 a'])
    """
    notes = sorted([*old, *new], key=lambda note: note[:_NOTE_TIME])
    at = max(0, len(notes) - most)
    return notes[at:], notes[:at]
