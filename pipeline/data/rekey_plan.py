"""What a name that became an alias left behind, and what would become of it under the id (memory, section 2). Pure.

Workers do not resolve names, so what was written under a name before it became an alias lies under that name still. The
plan says, agent by agent, whether that is taken over, merged with what the id has, dropped or in conflict.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.agents._shared.memories import content_digest
from endocrine.agents.canonical import canonical_json
from endocrine.agents.names.rules import project_subject
from endocrine.pipeline.core.name_table import NameTable

Json = dict[str, Any]
States = Mapping[str, Mapping[str, Any]]
"""States by agent and key."""
BY_SUBJECT = (
    "bonds",
    "feedback",
    "suspicion",
    "reflection",
    "modulation",
    "gating",
    "conversation",
    "audit",
    "capture",
)
"""Agents whose state key is the subject itself."""
FINER: Mapping[str, int] = {"attribution": 1, "trust": 2, "memory": 1, "conflicts": 1}
"""Agents whose state key is the subject and so many names, each after a slash and without one."""
STAYING: Mapping[str, str] = {
    "modulation": "turns",
    "gating": "turns",
    "conversation": "turns",
    "audit": "open",
    "capture": "open",
}
"""Agents whose states are about what is going on, and the field of their open turns: nothing of them moves."""


COUNTED = (
    "state_rekey",
    "state_merged",
    "state_collisions",
    "state_replaced",
    "state_historical_drops",
    "memory_rekey",
    "memory_supersede",
    "memory_drops",
)
"""Counts of the report: what becomes of entries of trusted state, and of memories."""


@dataclass
class Plan:
    """The report. Its fields are those of the JSON form."""

    scope: str
    alias: str
    registered_id: str
    subjects: list[str] = field(default_factory=list)
    """Old subjects that hold anything."""
    agents: dict[str, str] = field(default_factory=dict)
    """By agent: nothing, taken, merged, collision, dropped or open_turns."""
    taken: int = 0
    merged: int = 0
    collisions: list[Json] = field(default_factory=list)
    drops: list[Json] = field(default_factory=list)
    open_turns: list[str] = field(default_factory=list)
    integrity_errors: list[Json] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Of trusted state and of memories, by the names of the report."""

    @property
    def is_empty(self) -> bool:
        """Nothing lies under another name than the id."""
        return not self.subjects and not self.integrity_errors

    @property
    def refused(self) -> bool:
        """An apply would change nothing at all."""
        return bool(self.collisions or self.integrity_errors or self.open_turns)

    @property
    def rekey_id(self) -> str:
        """The same for every run on this alias and id (memory, 14.4)."""
        return hashlib.sha256(canonical_json([self.scope, self.alias.lower(), self.registered_id])).hexdigest()

    def as_json(self) -> Json:
        """The report."""
        counts = {"subjects": len(self.subjects), "taken": self.taken, "merged": self.merged}
        counts |= {"collisions": len(self.collisions), "drops": len(self.drops)}
        counts |= {name: self.counts[name] for name in COUNTED}
        return {
            "mode": "plan",
            "rekey_id": self.rekey_id,
            "scope": self.scope,
            "alias": self.alias,
            "id": self.registered_id,
            "subjects": self.subjects,
            "counts": counts,
            "agents": self.agents,
            "collisions": self.collisions,
            "drops": self.drops,
            "open_turns": self.open_turns,
            "integrity_errors": self.integrity_errors,
            "is_empty": self.is_empty,
        }


def plan_of(
    table: NameTable,
    scope: str,
    alias: str,
    states: States,
    *,
    notes_kept: int,
    cards_kept: int,
    max_record_bytes: int,
) -> Plan:
    """The plan of one alias, or of an id whose other cases were written under. alias: a name that is registered.

    notes_kept, cards_kept: of the policy. max_record_bytes: a larger state cannot be moved, for it would be a record.
    """
    registered_id = table.identity(alias) if scope == "identity" else str(table.project(alias))
    plan = Plan(scope, alias, registered_id)
    form: Callable[[str], str] = str if scope == "identity" else project_subject
    id_subject = form(registered_id)
    wanted = form(alias).lower()
    found = sorted({subject for subject in _subjects(states) if subject.lower() == wanted and subject != id_subject})
    if len(found) > 1:
        fault = {"fault": "keys_differ_in_case_only", "subjects": found}
        plan.integrity_errors.append(fault)
    plan.subjects = found
    outcomes: dict[str, list[str]] = {}
    known = {
        content_digest(one["entry"]["type"], one["entry"]["content"]): one["entry"]
        for key, one in sorted(states.get("memory", {}).items())
        if subject_of("memory", key) == id_subject and one["entry"]["status"] in IN_FORCE
    }
    for old in found:
        for agent, key, state in _of(states, old):
            new_key = id_subject + key[len(old) :]
            new = states[agent].get(new_key)
            size = len(orjson.dumps(state))
            if agent not in STAYING and size > max_record_bytes:
                plan.integrity_errors.append({"fault": "too_large", "agent": agent, "key": key, "bytes": size})
            if agent == "trust":
                outcome = _trusted(plan, key, state, new)
            elif agent == "memory":
                outcome = _memory(plan, key, state, new, known)
            else:
                outcome = _judge(plan, agent, key, state, new, notes_kept, cards_kept)
            outcomes.setdefault(agent, []).append(outcome)
    plan.agents = {agent: _worst(outcomes.get(agent, [])) for agent in (*BY_SUBJECT, *FINER)}
    return plan


_RANK = ("nothing", "dropped", "taken", "merged", "open_turns", "collision")


def _worst(outcomes: list[str]) -> str:
    return max(outcomes, key=_RANK.index, default="nothing")


def _subjects(states: States) -> Iterator[str]:
    for agent in BY_SUBJECT:
        yield from states.get(agent, ())
    for agent in FINER:
        yield from (subject_of(agent, key) for key in states.get(agent, ()))


def subject_of(agent: str, key: str) -> str:
    """The subject in a state key.

    >>> subject_of("trust", "project:a/b/status/phase"), subject_of("bonds", "ops/ann")
    ('project:a/b', 'ops/ann')
    """
    return key.rsplit("/", FINER.get(agent, 0))[0]


def _of(states: States, subject: str) -> Iterator[tuple[str, str, Any]]:
    """Agent, key and state of what a subject has."""
    for agent in BY_SUBJECT:
        if (state := states.get(agent, {}).get(subject)) is not None:
            yield agent, subject, state
    for agent in FINER:
        for key, state in sorted(states.get(agent, {}).items()):
            if subject_of(agent, key) == subject:
                yield agent, key, state


def _judge(plan: Plan, agent: str, key: str, old: Any, new: Any, notes_kept: int, cards_kept: int) -> str:
    """What becomes of one state; what is dropped or collides is put into the plan."""
    if agent in STAYING:
        turns = list(old.get(STAYING[agent]) or ()) if isinstance(old, Mapping) else []
        plan.open_turns = sorted({*plan.open_turns, *turns})
        plan.drops.append({"agent": agent, "key": key, "reason": "not_moved", "record": old})
        return "open_turns" if turns else "dropped"
    if new is None:
        plan.taken += 1
        return "taken"
    if agent == "bonds":
        caps = [one["entry"].get("daily_msg_cap", 0) for one in (old, new)]
        if all(caps) and caps[0] != caps[1]:
            collision = {"agent": agent, "key": key, "field": "daily_msg_cap", "old": old["entry"], "new": new["entry"]}
            plan.collisions.append(collision)
            return "collision"
        kept = merged_notes(old["entry"].get("notes", []), new["entry"].get("notes", []), notes_kept)
        plan.drops += [{"agent": agent, "key": key, "reason": "notes_kept", "record": note} for note in kept[1]]
    if agent == "feedback":
        cards = sorted([*old["cards"], *new["cards"]], key=lambda card: card[0])
        gone = cards[: max(0, len(cards) - cards_kept)]
        plan.drops += [{"agent": agent, "key": key, "reason": "cards_kept", "record": card} for card in gone]
    plan.merged += 1
    return "merged"


def _trusted(plan: Plan, key: str, old: Json, new: Json | None) -> str:
    """What becomes of an entry of trusted state; all statuses are planned."""
    if new is None:
        plan.taken += 1
        plan.counts["state_rekey"] += 1
        return "taken"
    active = old["status"] == "active", new["status"] == "active"
    if all(active) and old["value"] != new["value"]:
        plan.counts["state_collisions"] += 1
        plan.collisions.append({"agent": "trust", "key": key, "field": "value", "old": old, "new": new})
        return "collision"
    plan.merged += 1
    if all(active):
        plan.counts["state_merged"] += 1
        plan.drops.append({"agent": "trust", "key": key, "reason": "merged_as_duplicate", "record": old})
    elif active[0]:
        plan.counts["state_replaced"] += 1
        plan.drops.append({"agent": "trust", "key": key, "reason": "replaced_inactive", "record": new})
    else:
        plan.counts["state_historical_drops"] += 1
        earlier = old if active[1] or old["ts"] <= new["ts"] else new
        plan.drops.append({"agent": "trust", "key": key, "reason": "historical_drop", "record": earlier})
    return "merged"


IN_FORCE = ("candidate", "active")
"""Statuses of memories that another of the same type and content can supersede."""


def _memory(plan: Plan, key: str, old: Json, new: Json | None, known: Mapping[str, Json]) -> str:
    """What becomes of a memory. known: those of the id in force, by digest of type and content."""
    entry = old["entry"]
    if new is not None:
        # An earlier run moved it and did not get to its end.
        plan.merged += 1
        plan.counts["memory_drops"] += 1
        plan.drops.append({"agent": "memory", "key": key, "reason": "moved_before", "record": entry})
        return "merged"
    if duplicate_of(entry, known) is not None:
        plan.merged += 1
        plan.counts["memory_supersede"] += 1
        return "merged"
    plan.taken += 1
    plan.counts["memory_rekey"] += 1
    return "taken"


def duplicate_of(entry: Json, known: Mapping[str, Json]) -> Json | None:
    """The memory that supersedes one that is moved: of the same type and content, in force, and no mere candidate where
    the moved one is active. None where it is moved as it is."""
    other = known.get(content_digest(entry["type"], entry["content"]))
    if entry["status"] not in IN_FORCE or other is None:
        return None
    return None if (entry["status"], other["status"]) == ("active", "candidate") else other


_STAMP = len("2026-01-01 00:00")


def merged_notes(old: list[str], new: list[str], most: int) -> tuple[list[str], list[str]]:
    """Notes of two entries by the time each begins with, equal times old first: those kept, and those dropped.

    >>> merged_notes(["2026-01-02 10:00 b"], ["2026-01-01 10:00 a", "2026-01-03 10:00 c"], 2)
    (['2026-01-02 10:00 b', '2026-01-03 10:00 c'], ['2026-01-01 10:00 a'])
    """
    notes = sorted([*old, *new], key=lambda note: note[:_STAMP])
    at = max(0, len(notes) - most)
    return notes[at:], notes[:at]
