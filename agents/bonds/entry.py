"""The bond entry of one user: reading any stored form, and the parts of its changes (rules, section 6).

All functions return new values.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypedDict, cast

from endocrine.schemas.bonds import Bond


class Entry(TypedDict):
    """The fields of `schemas.bonds.Bond`, in that order."""

    user_id: str
    phase: str
    prev_phase: str
    archetype: str
    phase_entered_at: float
    turn_count: int
    peak_nodes: dict[str, float]
    risk_level: str
    daily_msg_cap: int
    daily_msg_count: int
    daily_msg_reset_at: float
    egg_status: str
    notes: list[str]
    last_updated: float


_FLOATS = ("phase_entered_at", "daily_msg_reset_at", "last_updated")
_MOST_NOTES: int = next(rule.max_length for rule in Bond.model_fields["notes"].metadata if hasattr(rule, "max_length"))


def new_entry(user_id: str, ts: float) -> Entry:
    """Return the defaults, stamped with the event time of what created the entry."""
    return cast(Entry, Bond(user_id=user_id, phase_entered_at=ts, last_updated=ts).model_dump())


def read_entry(stored: Mapping[str, Any]) -> Entry:
    """Return a whole entry from a partial or older stored form.

    A field that is missing or null takes its default, a field this version does not know is dropped, whole numbers pass
    as times and activations, of more than 20 notes the last 20 stay. Raises ValueError (pydantic's, naming the field)
    for a missing user_id or a value of another type.
    """
    known = {name: stored[name] for name in Bond.model_fields if stored.get(name) is not None}
    for name in _FLOATS:
        known |= {name: _as_float(known[name])} if name in known else {}
    if isinstance(known.get("peak_nodes"), Mapping):
        known["peak_nodes"] = {node: _as_float(peak) for node, peak in known["peak_nodes"].items()}
    if isinstance(known.get("notes"), list):
        known["notes"] = known["notes"][-_MOST_NOTES:]
    return cast(Entry, Bond.model_validate(known).model_dump())


def exceeds_by(activation: float, peak: float, margin: float) -> bool:
    """Return whether the activation exceeds the peak by the margin or more, in the decimals as written.

    In binary 0.6 - 0.4 is less than 0.2; a person who reads 0.4, 0.6 and 0.2 sees a spike, and gets one.
    """
    return Decimal(repr(activation)) - Decimal(repr(peak)) >= Decimal(repr(margin))


def ratchet(peaks: Mapping[str, float], ulm: Mapping[str, float]) -> dict[str, float]:
    """Return the peaks after an ULM vector: none ever falls. A node seen for the first time has its activation, 0.0
    too."""
    raised = {node: activation for node, activation in ulm.items() if node not in peaks or activation > peaks[node]}
    return {**peaks, **raised}


def note_line(text: str, ts: float) -> str:
    """Return a note as kept: `YYYY-MM-DD HH:MM text`, the event time in UTC."""
    return f"{datetime.fromtimestamp(ts, tz=UTC):%Y-%m-%d %H:%M} {text}"


def touched(entry: Entry, ts: float) -> Entry:
    """Return the entry changed at `ts`; `last_updated` never goes back, even when something older arrives late."""
    return {**entry, "last_updated": max(entry["last_updated"], ts)}


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
