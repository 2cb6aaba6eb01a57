"""Which states are, or name, a subject that is to be erased. Pure.

A state is found by its key, or by what is in it: tokens that others hold too, links of others, and memories of projects
that are from the subject. Where such a memory ends, what knows it by its id (the project's slots, and what was known of
its memories) loses it as well.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from endocrine.agents._shared.moving import opened
from endocrine.agents._shared.subjects import finer, is_project
from endocrine.agents.canonical import canonical_json
from endocrine.agents.conflicts.erasure import memories_in
from endocrine.agents.erasing import ERASERS, EVERY
from endocrine.agents.meeting.erasure import holds
from endocrine.agents.memory.erasure import is_from_alone, named_in
from endocrine.agents.names.claims import claim_of
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.data.rekey_links import pair_of
from endocrine.schemas.names import REGISTRY

Json = dict[str, Any]
States = Mapping[str, Mapping[str, Any]]
"""States by agent and key."""
MOST_MEMORIES = 4096
"""Memories that one command names."""


@dataclass(frozen=True)
class Erasure:
    """One state that is erased, or loses what names the subject."""

    agent: str
    identity: str
    """Whose state it is: the identity of the command."""
    key: str
    of: str
    """The subject that is erased, by one of its names."""
    memory_ids: tuple[str, ...] = ()


@dataclass
class Plan:
    """What is to be erased."""

    subject: str
    """The registered id, or the name itself."""
    names: list[str]
    """Subjects under which records may lie: the id, and aliases of it."""
    erasures: list[Erasure] = field(default_factory=list)
    memory_ids: list[str] = field(default_factory=list)
    """Memories of projects that end, as they are from the subject alone."""

    @property
    def erasure_id(self) -> str:
        """The same for every run on this subject."""
        return hashlib.sha256(canonical_json(["erase", self.subject])).hexdigest()

    @property
    def is_empty(self) -> bool:
        """No state is, or names, the subject."""
        return not self.erasures

    def counts(self) -> dict[str, int]:
        """Return the number of states by agent."""
        found: dict[str, int] = {}
        for one in self.erasures:
            found[one.agent] = found.get(one.agent, 0) + 1
        return found


def names_of(table: NameTable, subject: str) -> list[str]:
    """Return the subjects under which records of one may lie: itself, and its aliases, released ones too."""
    scope, bare = ("project", subject.partition(":")[2]) if is_project(subject) else ("identity", subject)
    form = (lambda name: f"project:{name}") if scope == "project" else str
    aliases = [
        entry["name"]
        for (of_scope, _), entry in sorted(table.entries.items())
        if of_scope == scope and entry["registered_id"] == bare and entry["name"] != bare and entry["kind"] != "erased"
    ]
    return [subject, *(form(name) for name in aliases)]


def plan_of(subject: str, names: Sequence[str], states: States) -> Plan:
    """Return the plan. names: as `names_of`; `subject` is the first. states: of all agents in `ERASERS`."""
    plan = Plan(subject, list(names))
    wanted = set(names)
    by_project: dict[str, list[str]] = {}
    for key, whole in sorted(states.get("memory", {}).items()):
        whose, state = key.rsplit("/", 1)[0], opened(whole)[0]
        if whose in wanted:
            continue
        for name in names:
            if named_in(state, name):
                plan.erasures.append(Erasure("memory", whose, key, name))
                if is_from_alone(state, name):
                    memory_id = state["entry"]["memory_id"]
                    plan.memory_ids.append(memory_id)
                    by_project.setdefault(whose, []).append(memory_id)
    for agent, eraser in ERASERS.items():
        if not eraser.holds:
            continue
        for key, whole in sorted(states.get(agent, {}).items()):
            if agent == "linkage":
                a, b = pair_of(key)
                named = next((name for name in names if name in (a, b)), None)
                if named is not None:
                    plan.erasures.append(Erasure(agent, a, key, named))
            elif agent == "meeting":
                plan.erasures += [Erasure(agent, key, key, name) for name in names if holds(opened(whole)[0], name)]
            elif agent == "registry":
                plan.erasures += [Erasure(agent, REGISTRY, key, name) for name in names if key in registered(name)]
            elif (whose := key.rsplit("/", eraser.finer)[0]) in wanted:
                plan.erasures.append(Erasure(agent, whose, key, whose))
            elif whose in by_project:
                plan.erasures += _without(agent, whose, key, opened(whole)[0], by_project[whose], subject)
    return plan


def registered(name: str) -> set[str]:
    """Return the state keys of the registry under which this subject's name is registered."""
    scope, bare = ("project", name.partition(":")[2]) if is_project(name) else ("identity", name)
    return {f"{REGISTRY}/{scope}/{bare.lower()}"}


def _without(agent: str, whose: str, key: str, state: Any, ids: Sequence[str], subject: str) -> Iterator[Erasure]:
    if agent == "conflicts":
        known = memories_in(state)
    elif agent == "reflection":
        known = {*state["active"], *state["queue"]}
    else:
        return
    some = sorted(known & set(ids))
    for first in range(0, len(some), MOST_MEMORIES):
        yield Erasure(agent, whose, key, subject, tuple(some[first : first + MOST_MEMORIES]))


def claims(plan: Plan) -> list[Erasure]:
    """Return what keeps the names as digests."""
    found = []
    for name in plan.names:
        scope, bare = ("project", name.partition(":")[2]) if is_project(name) else ("identity", name)
        claim = claim_of(scope, bare)
        # The claim is all that is to stay, so the name itself is not in the command.
        found.append(Erasure("registry", REGISTRY, f"{REGISTRY}/{scope}/{claim}", claim))
    return found


def commands(plan: Plan, erasures: Sequence[Erasure], *, by: str, ts: float) -> Iterator[Json]:
    """Yield the command of each. ts: event time, seconds."""
    for one in erasures:
        yield _command(plan, one.identity, one.agent, one.key, one.of, by, ts) | {"memory_ids": list(one.memory_ids)}


def passing(plan: Plan, token: str, *, by: str, ts: float) -> Json:
    """Return the command that lets every agent that reads `token`'s partition make a batch. It names nobody."""
    return _command(plan, token, EVERY, finer(token, ""), token, by, ts)


def _command(plan: Plan, identity: str, agent: str, key: str, of: str, by: str, ts: float) -> Json:
    return {
        "id": f"erase-{uuid.uuid4().hex}",
        "identity": identity,
        "kind": "erase",
        "erasure_id": plan.erasure_id,
        "agent": agent,
        "key": key,
        "of": of,
        "by": by,
        "ts": ts,
    }
