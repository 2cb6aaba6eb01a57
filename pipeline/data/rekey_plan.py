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

from endocrine.agents._shared.moving import Conflict, adoption_mark, opened, state_digest
from endocrine.agents.bonds.rekey import merged_notes
from endocrine.agents.canonical import canonical_json
from endocrine.agents.conflicts.rekey import without as slot_without
from endocrine.agents.feedback.rekey import merged_cards
from endocrine.agents.linkage.rekey import with_status
from endocrine.agents.memory.rekey import duplicate_of, in_force, superseded
from endocrine.agents.names.rules import project_subject
from endocrine.agents.reflection.rekey import without as known_without
from endocrine.agents.rekeying import MOVERS
from endocrine.agents.trust.rekey import replaces
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.data.rekey_links import LINKS, LinkOutcome, MovedLink, linked_identities, links_of, pair_of

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
READ = (*BY_SUBJECT, *FINER, LINKS)
"""Agents whose states a plan is made from."""
DERIVED = ("evidence", "meeting")
"""Agents that keep observations for some days to compare them: nothing of them moves, is planned or is retired."""
REBUILT = ("suspicion",)
"""Agents whose states follow from what others say of the states that were moved."""
STAYING: Mapping[str, str] = {
    name: mover.open_turns for name, mover in MOVERS.items() if mover.merge is None and mover.open_turns is not None
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


@dataclass(frozen=True)
class Transfer:
    """One state that an agent adopts."""

    agent: str
    old: str
    """The name that it was written under."""
    subject: str
    """The subject that adopts it: that of the id, or the first identity of a link."""
    key: str
    """That it is adopted under."""
    state: Any
    digest_old: str
    """Of the whole state under the old key."""
    digest_new: str | None
    """Of the whole state under `key`; None: no state is there."""


@dataclass(frozen=True)
class Retirement:
    """One state that is ended once all were adopted."""

    agent: str
    old: str
    """The subject that it lies under: the old name, or the first identity of a link."""
    key: str
    digest_old: str


@dataclass
class Plan:
    """The report. Its fields are those of the JSON form."""

    scope: str
    alias: str
    registered_id: str
    subjects: list[str] = field(default_factory=list)
    """Old subjects that hold anything."""
    agents: dict[str, str] = field(default_factory=dict)
    """By agent: nothing, moved, taken, merged, collision, dropped, open_turns or ages_out."""
    taken: int = 0
    merged: int = 0
    moved: int = 0
    """Adopted by an earlier run, which did not get to its end."""
    collisions: list[Json] = field(default_factory=list)
    drops: list[Json] = field(default_factory=list)
    open_turns: list[str] = field(default_factory=list)
    integrity_errors: list[Json] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Of trusted state and of memories, by the names of the report."""
    transfers: list[Transfer] = field(default_factory=list)
    retirements: list[Retirement] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The subject of the id, which adopts."""
        return self.registered_id if self.scope == "identity" else project_subject(self.registered_id)

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
        """Return the report."""
        counts = {"subjects": len(self.subjects), "taken": self.taken, "merged": self.merged, "moved": self.moved}
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
    """Return the plan of one alias, or of an id whose other cases were written under. alias: a name that is registered.

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
    owned = {key: opened(one)[0] for key, one in sorted(states.get("memory", {}).items())}
    known = in_force(one for key, one in owned.items() if subject_of("memory", key) == id_subject)
    for old in found:
        twins = {
            one["entry"]["memory_id"]: twin["memory_id"]
            for key, one in owned.items()
            if subject_of("memory", key) == old and (twin := duplicate_of(one["entry"], known)) is not None
        }
        for agent, key, whole in _of(states, old):
            transfer = _transfer(agent, old, key, id_subject, whole, states, twins)
            state, (new, adopted) = opened(whole)[0], opened(states[agent].get(transfer.key))
            plan.retirements.append(Retirement(agent, old, key, transfer.digest_old))
            if agent not in (*STAYING, *REBUILT):
                _movable(plan, transfer, max_record_bytes)
            if adoption_mark(plan.rekey_id, transfer.digest_old) in adopted:
                plan.moved += 1
                outcome = "moved"
            elif agent == "trust":
                outcome = _trusted(plan, key, state, new)
            elif agent == "memory":
                outcome = _memory(plan, key, state, new, twins)
            else:
                outcome = _judge(plan, agent, key, state, new, notes_kept, cards_kept)
            outcomes.setdefault(agent, []).append(outcome)
            if agent == "memory" and (taken_by := twins.get(state["entry"]["memory_id"])) is not None:
                into = f"{id_subject}/{taken_by}"
                digest_new = state_digest(states["memory"][into])
                plan.transfers.append(Transfer(agent, old, id_subject, into, state, transfer.digest_old, digest_new))
        outcomes[LINKS] = [
            *outcomes.get(LINKS, ()),
            *(_link(plan, one, old, states[LINKS], max_record_bytes) for one in links_of(states, old, id_subject)),
        ]
    plan.agents = {agent: _worst(outcomes.get(agent, [])) for agent in READ}
    plan.agents |= dict.fromkeys(DERIVED, "ages_out" if found else "nothing")
    return plan


def _transfer(
    agent: str, old: str, key: str, subject: str, whole: Any, states: States, twins: Mapping[str, str]
) -> Transfer:
    """The state as it is adopted: of memories that are superseded by the move, without them where others know them.

    twins: memory_id of what supersedes a memory, by its own.
    """
    new_key = subject + key[len(old) :]
    state, before = opened(whole)[0], states[agent].get(new_key)
    if agent == "memory" and state["entry"]["memory_id"] in twins:
        state = superseded(state, twins[state["entry"]["memory_id"]])
    elif agent == "conflicts" and state is not None and twins:
        state = slot_without(state, twins)
    elif agent == "reflection" and twins:
        state = known_without(state, twins)
    digest_new = None if before is None else state_digest(before)
    return Transfer(agent, old, subject, new_key, state, state_digest(whole), digest_new)


def _movable(plan: Plan, transfer: Transfer, max_record_bytes: int) -> None:
    """Put a transfer into the plan; one that fits into no record is a fault."""
    plan.transfers.append(transfer)
    size = len(orjson.dumps(transfer.state)) + _AROUND
    if size > max_record_bytes:
        fault = {"fault": "too_large", "agent": transfer.agent, "key": transfer.key, "bytes": size}
        plan.integrity_errors.append(fault)


_AROUND = 4096
"""Bytes of an `adopt` command beside the state, at most."""
_RANK = ("nothing", "dropped", "moved", "taken", "merged", "open_turns", "collision")


def _worst(outcomes: list[str]) -> str:
    return max(outcomes, key=_RANK.index, default="nothing")


def _subjects(states: States) -> Iterator[str]:
    for agent in BY_SUBJECT:
        yield from states.get(agent, ())
    for agent in FINER:
        yield from (subject_of(agent, key) for key in states.get(agent, ()))
    yield from linked_identities(states)


def subject_of(agent: str, key: str) -> str:
    """Return the subject in a state key.

    >>> subject_of("trust", "project:a/b/status/phase"), subject_of("bonds", "ops/ann")
    ('project:a/b', 'ops/ann')
    """
    return key.rsplit("/", FINER.get(agent, 0))[0]


def _of(states: States, subject: str) -> Iterator[tuple[str, str, Any]]:
    """Agent, key and state of what a subject has; its links are in `links_of`."""
    for agent in BY_SUBJECT:
        if (state := states.get(agent, {}).get(subject)) is not None:
            yield agent, subject, state
    for agent in FINER:
        for key, state in sorted(states.get(agent, {}).items()):
            if subject_of(agent, key) == subject:
                yield agent, key, state


def _link(plan: Plan, link: MovedLink, old: str, pairs: Mapping[str, Any], max_record_bytes: int) -> LinkOutcome:
    """What becomes of a link of the old name."""
    whole, before = pairs[link.key], None if link.new_key is None else pairs.get(link.new_key)
    plan.retirements.append(Retirement(LINKS, pair_of(link.key)[0], link.key, state_digest(whole)))
    if link.new_key is None:
        plan.drops.append({"agent": LINKS, "key": link.key, "reason": "links_itself", "record": link.state})
        return "dropped"
    digest_new = None if before is None else state_digest(before)
    subject = pair_of(link.new_key)[0]
    _movable(
        plan,
        Transfer(LINKS, old, subject, link.new_key, link.state, state_digest(whole), digest_new),
        max_record_bytes,
    )
    known, adopted = opened(before)
    if adoption_mark(plan.rekey_id, state_digest(whole)) in adopted:
        plan.moved += 1
        return "moved"
    if known is None:
        plan.taken += 1
        return "taken"
    try:
        with_status(link.state, known)
    except Conflict as conflict:
        both = {"old": link.state, "new": known}
        plan.collisions.append({"agent": LINKS, "key": link.key, "field": conflict.reason, **both})
        return "collision"
    plan.merged += 1
    return "merged"


def _judge(plan: Plan, agent: str, key: str, old: Any, new: Any, notes_kept: int, cards_kept: int) -> str:
    """What becomes of one state; what is dropped or collides is put into the plan."""
    if agent in REBUILT:
        plan.drops.append({"agent": agent, "key": key, "reason": "rebuilt", "record": old})
        return "dropped"
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
        _, gone = merged_cards(old["cards"], new["cards"], cards_kept)
        plan.drops += [{"agent": agent, "key": key, "reason": "cards_kept", "record": card} for card in gone]
    plan.merged += 1
    return "merged"


def _trusted(plan: Plan, key: str, old: Any, new: Any) -> str:
    """What becomes of an entry of trusted state; all statuses are planned."""
    if new is None:
        plan.taken += 1
        plan.counts["state_rekey"] += 1
        return "taken"
    try:
        replacing = replaces(old, new)
    except Conflict as conflict:
        plan.counts["state_collisions"] += 1
        plan.collisions.append({"agent": "trust", "key": key, "field": conflict.reason, "old": old, "new": new})
        return "collision"
    plan.merged += 1
    if old["status"] == new["status"] == "active":
        counted, reason = "state_merged", "merged_as_duplicate"
    elif replacing and old["status"] == "active":
        counted, reason = "state_replaced", "replaced_inactive"
    else:
        counted, reason = "state_historical_drops", "historical_drop"
    plan.counts[counted] += 1
    plan.drops.append({"agent": "trust", "key": key, "reason": reason, "record": new if replacing else old})
    return "merged"


def _memory(plan: Plan, key: str, old: Any, new: Any, twins: Mapping[str, str]) -> str:
    """What becomes of a memory. twins: as of `_transfer`."""
    entry = old["entry"]
    if new is not None:
        plan.merged += 1
        plan.counts["memory_drops"] += 1
        plan.drops.append({"agent": "memory", "key": key, "reason": "same_memory", "record": entry})
        return "merged"
    if entry["memory_id"] in twins:
        plan.merged += 1
        plan.counts["memory_supersede"] += 1
        return "merged"
    plan.taken += 1
    plan.counts["memory_rekey"] += 1
    return "taken"
