"""The same history under another policy.

What came from outside is applied to two worlds side by side, record by record: one under the policies that were in
force, one under the other policy. What agents say is made anew in both, through the wiring of `simulate`. Records of
the two are compared by their ids.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.records import CE_ID
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.replay.difference import json_differences
from endocrine.pipeline.replay.history import HistoryError, InForce, Outside, outside
from endocrine.pipeline.replay.logs import Logs
from endocrine.pipeline.replay.output_streams import digest_of
from endocrine.pipeline.replay.provenance import origin_of
from endocrine.pipeline.replay.recorded_seals import ConstantSeals, RecordedSeals, prepared
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.unknown import Unknowns

COMPARED = ("modulations", "tool-decisions", "incidents")
KEPT = 10_000
"""Changes listed; more are only counted."""
ALL = Scope()
TopicAndId = tuple[str, str]
"""Topic and id."""
Decided = tuple[str, str | None, str, str | None]
ValuesByKey = dict[TopicAndId, dict[str, Any]]
Waiting = dict[TopicAndId, tuple[int, dict[str, Any]]]
"""What one world produced and the other has not, with the append time of its cause."""


@dataclass
class WhatIf:
    """What would have been."""

    policy: str
    """Digest of the other policy."""
    inputs: int = 0
    """Records of outsiders."""
    as_recorded: int = 0
    """Records that the first world produces as they are on the topics."""
    otherwise: int = 0
    """Records that it produces otherwise, or that are on the topics and it does not produce: agents read several
    topics, and a live run may have read them in another order."""
    same: Counter[str] = field(default_factory=Counter)
    """By topic, records that are the same in both worlds but for the policy they name."""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By topic and kind of change: changed, new, gone."""
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By topic and JSON path, records that differ there."""
    same_result: int = 0
    """Modulations of which only the steps differ that led to the same parameters, mode and functions."""
    decided: Counter[Decided] = field(default_factory=Counter)
    """Calls on which the worlds do not agree: decision and reason as recorded, and in the other world."""
    modes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Modulations whose mode differs: as recorded, and in the other world."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """At most 10,000: topic, id, identity, audit_id, at (append time of the cause, ms), change, fields."""
    unknown: Unknowns = field(default_factory=Unknowns)

    def verdicts(self) -> dict[tuple[str, str], str]:
        """Return topic and id of each change listed, and its kind."""
        return {(one["topic"], one["id"]): one["change"] for one in self.changes}


def compare_worlds(
    logs: Logs,
    agents: Sequence[Agent],
    policy_of: Callable[[str], Policy],
    other: Policy,
    *,
    partitions: int,
    sizes: Sizes,
    version: str,
    scope: Scope = ALL,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WhatIf:
    """Run both worlds and compare. scope: which changes are listed, by the append time of what caused them and
    identity.

    Raises HistoryError for a recorded policy that was never published.
    """
    held = prepared(logs, RecordedSeals())
    found = WhatIf(other.digest)
    force = InForce(held, agents, partitions)
    recorded = _recorded(held)
    worlds = [
        Simulation(agents, other, version=version, sizes=sizes, partitions=partitions, seals=ConstantSeals())
        for _ in range(2)
    ]
    waiting: tuple[Waiting, Waiting] = ({}, {})
    total = sum(len(log) for (topic, _), log in held.items() if any(topic in agent.sources for agent in agents))
    for record in outside(held, agents):
        found.inputs += 1
        if found.inputs % 500 == 0:
            progress(found.inputs, total)
        worlds[0].policy = _in_force(force, record, policy_of, other)
        ours = dict(_produced(worlds[0], record))
        _against_the_record(found, ours, recorded)
        theirs = dict(_produced(worlds[1], record)) if found.unknown.judge(record) else {}
        found.unknown.hear(ours, theirs)
        for produced, mine in zip((ours, theirs), waiting, strict=True):
            mine.update({place: (record.time, value) for place, value in produced.items()})
        for place in ours | theirs:
            if place in waiting[0] and place in waiting[1]:
                _pair(found, place, waiting[0].pop(place), waiting[1].pop(place), scope)
    for change, left in zip(("gone", "new"), waiting, strict=True):
        for place, (at, value) in left.items():
            _note(found, place, change, at, value, [], scope)
    found.otherwise += len(recorded)
    found.unknown.close()
    return found


def _in_force(force: InForce, record: Outside, policy_of: Callable[[str], Policy], other: Policy) -> Policy:
    digest = force.at(record.topic, record.raw)
    if digest is None:
        return other  # nothing was ever decided: there is no first world to differ from
    try:
        return policy_of(digest)
    except KeyError:
        raise HistoryError(
            f"policy {digest}, in force then, was never published: what was cannot be made again"
        ) from None


def _produced(world: Simulation, record: Outside) -> Iterator[tuple[TopicAndId, dict[str, Any]]]:
    raw = record.raw
    for topic, _, value, headers in world.apply(record.topic, raw.key, raw.value, record.headers):
        named = headers.get(CE_ID)
        if topic in COMPARED and isinstance(value, bytes) and named is not None:
            yield (topic, named), orjson.loads(value)


def _recorded(logs: Mapping[tuple[str, int], Any]) -> dict[TopicAndId, bytes]:
    """Digests of the records of the compared topics."""
    recorded: dict[TopicAndId, bytes] = {}
    for (topic, _), log in logs.items():
        for raw in log if topic in COMPARED else ():
            origin = origin_of(topic, dict(raw.headers))
            if origin is not None and not origin.name.startswith("re-keyed"):
                recorded.setdefault((topic, origin.name), digest_of((None, raw.value, ())))
    return recorded


def _against_the_record(found: WhatIf, produced: ValuesByKey, recorded: dict[TopicAndId, bytes]) -> None:
    for place, value in produced.items():
        if recorded.pop(place, None) == digest_of((None, orjson.dumps(value), ())):
            found.as_recorded += 1
        else:
            found.otherwise += 1


def _pair(
    found: WhatIf, place: TopicAndId, ours: tuple[int, dict[str, Any]], theirs: tuple[int, dict[str, Any]], scope: Scope
) -> None:
    fields = [
        {"path": one["path"], "recorded": one["expected"], "other": one["found"]}
        for one in json_differences(ours[1], theirs[1])
        if one["path"] != "$.policy"
    ]
    at = min(ours[0], theirs[0])
    if fields:
        _note(found, place, "changed", at, theirs[1], fields, scope)
    elif _wanted(theirs[1], at, scope):
        found.same[place[0]] += 1


def _wanted(value: Mapping[str, Any], at: int, scope: Scope) -> bool:
    return (
        (scope.identity is None or value.get("identity") == scope.identity)
        and (scope.since_ms is None or at >= scope.since_ms)
        and (scope.until_ms is None or at <= scope.until_ms)
    )


def _count_change(found: WhatIf, topic: str, theirs: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
    """recorded: by path, what the record has where `theirs` has something else."""
    if topic == "tool-decisions" and {"$.decision", "$.reason"} & recorded.keys():
        decision = recorded.get("$.decision", theirs["decision"])
        reason = recorded.get("$.reason", theirs["reason"])
        found.decided[decision, reason, theirs["decision"], theirs["reason"]] += 1
    elif topic == "modulations" and "$.mode" in recorded:
        found.modes[recorded["$.mode"], theirs["mode"]] += 1
    elif topic == "modulations" and all(path.startswith("$.lineage") for path in recorded):
        found.same_result += 1


def _note(
    found: WhatIf,
    place: TopicAndId,
    change: str,
    at: int,
    value: Mapping[str, Any],
    fields: list[dict[str, Any]],
    scope: Scope,
) -> None:
    if not _wanted(value, at, scope):
        return
    topic, name = place
    found.counts[topic, change] += 1
    found.fields.update({(topic, one["path"]) for one in fields})
    if change == "changed":
        _count_change(found, topic, value, {one["path"]: one["recorded"] for one in fields})
    if len(found.changes) < KEPT:
        found.changes.append(
            {
                "topic": topic,
                "id": name,
                "identity": value.get("identity"),
                "audit_id": value.get("audit_id"),
                "at": at,
                "change": change,
                "fields": fields,
                "value": None if change == "changed" else dict(value),
            }
        )
