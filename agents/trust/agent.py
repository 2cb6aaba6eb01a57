"""Trusted state, written by operators' commands and nothing else (memory, section 3).

- One state per subject, category and key, which is the compacted record itself: at most one value is in force.
- `state_set`: nothing active: `set`; another value, source or confidence: `updated`; the same: `unchanged`, no version.
- `state_invalidate`: `invalidated`, the entry stays as superseded; nothing active: `absent`.
- A category that the policy does not list: `refused`. Every command about state has its event.
- Outputs: the event, then the entry where it changed.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from endocrine.agents.canonical import canonical_json
from endocrine.agents.contract import Output, State, Trigger
from endocrine.schemas.commands import StateInvalidate, StateSet

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy
    from endocrine.schemas.vocabulary import StateEventKind


class Entry(TypedDict):
    """The fields of `schemas.trusted_state.TrustedState`, in that order: the state under one key."""

    subject: str
    category: str
    key: str
    value: str
    source: str
    confidence: float
    status: Literal["active", "superseded"]
    entry_id: str
    version: int
    created_ts: float
    by: str
    ts: float


@dataclass(frozen=True)
class Trust:
    """State key: that of the record, `subject/category/key`; of other commands, which change nothing, the identity."""

    name: str = "trust"
    sources: tuple[str, ...] = ("commands",)
    targets: tuple[str, ...] = ("trusted-states", "state-events")

    def key(self, trigger: Trigger) -> str:
        """Return the entry that a command is about."""
        value = trigger.value
        if isinstance(value, StateSet | StateInvalidate):
            return f"{trigger.identity}/{value.category}/{value.key}"
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a command. Rejects nothing: what cannot be done is an event."""
        command = trigger.value
        if isinstance(command, StateSet):
            if command.category not in policy.document.trusted_state.categories:
                return state, [_event(trigger, "refused", None, None, reason="unknown_category")]
            return _set(state, trigger, command)
        if isinstance(command, StateInvalidate):
            return _invalidate(state, trigger, command)
        return state, []


AGENT = Trust()


def entry_id(subject: str, category: str, key: str) -> str:
    """Return the id of an entry, which all its versions share.

    >>> entry_id("project:p05", "status", "phase")
    's-2dddf0cb15375cd94befa614'
    """
    return f"s-{hashlib.sha256(canonical_json([subject, category, key])).hexdigest()[:24]}"


def _set(entry: Entry | None, trigger: Trigger, command: StateSet) -> tuple[Entry, list[Output]]:
    stated = (command.value, command.source, command.confidence)
    active = entry is not None and entry["status"] == "active"
    if entry is not None and active and (entry["value"], entry["source"], entry["confidence"]) == stated:
        return entry, [_event(trigger, "unchanged", entry, entry)]
    after: Entry = {
        "subject": trigger.identity,
        "category": command.category,
        "key": command.key,
        "value": command.value,
        "source": command.source,
        "confidence": command.confidence,
        "status": "active",
        "entry_id": entry_id(trigger.identity, command.category, command.key),
        "version": 1 if entry is None else entry["version"] + 1,
        "created_ts": command.ts if entry is None else entry["created_ts"],
        "by": command.by,
        "ts": command.ts,
    }
    kind: StateEventKind = "updated" if active else "set"
    return after, [_event(trigger, kind, entry, after), _record(trigger, after)]


def _invalidate(entry: Entry | None, trigger: Trigger, command: StateInvalidate) -> tuple[Entry | None, list[Output]]:
    if entry is None or entry["status"] != "active":
        return entry, [_event(trigger, "absent", entry, entry, reason=command.reason)]
    after: Entry = {
        **entry,
        "status": "superseded",
        "version": entry["version"] + 1,
        "by": command.by,
        "ts": command.ts,
    }
    return after, [_event(trigger, "invalidated", entry, after, reason=command.reason), _record(trigger, after)]


def _record(trigger: Trigger, entry: Entry) -> Output:
    return Output("trusted-states", trigger.identity, entry)


def _event(
    trigger: Trigger, kind: "StateEventKind", before: Entry | None, after: Entry | None, *, reason: str | None = None
) -> Output:
    command: StateSet | StateInvalidate = trigger.value
    return Output(
        "state-events",
        trigger.identity,
        {
            "kind": kind,
            "subject": trigger.identity,
            "category": command.category,
            "key": command.key,
            "old": _in_force(before),
            "new": _in_force(after),
            "reason": reason,
            "entry_id": None if after is None else after["entry_id"],
            "version": None if after is None else after["version"],
            "by": command.by,
            "ts": command.ts,
        },
    )


def _in_force(entry: Entry | None) -> str | None:
    return entry["value"] if entry is not None and entry["status"] == "active" else None
