"""The protocol's five guarantees, checked in a world that has come to rest. Each failure begins with its guarantee's
number.

1 every good record is processed once, none is lost, and the stored states are those of that one history
2 copies of an output are identical; every output of the history is produced, and no other
3 the first copies in each topic are in the order processed
4 topics and journal alone give every record produced, byte for byte, and no other; batch numbers have no gap, the
  journal's chain and digests hold, copies of a journal record are identical, the runs cover each source record once
  and nothing that a transaction has not committed,
  and the outputs of batch n are produced between journal records n-1 and n
5 where a topic ends was never reported as of a moment before the records came that wait for it

The history is rebuilt twice: by the engine in journal order, and by nothing but `process`, one record after the other.
"""

import hashlib
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from endocrine.agents.contract import Reject, State, Trigger
from endocrine.pipeline.core.changelog import CHECKPOINT_KEY, EPOCH_KEY, Recovered
from endocrine.pipeline.core.checkpoint import decode_checkpoint
from endocrine.pipeline.core.journal import inputs_digest
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.core.records import Fetched, Header, OutputRecord
from endocrine.pipeline.core.states import keep
from endocrine.pipeline.core.watermarks import Watermarks
from simbroker.schedule import World
from simbroker.toy_agents import CATALOGUE, PARTITIONS, SEALS, SIZES, Toy, policy

Spelled = tuple[str, int, bytes | None, bytes | None, tuple[Header, ...]]
"""Topic, partition, key, value, headers: all that a reader can see of a record."""


def _spell(out: OutputRecord, common: Any) -> Spelled:
    return out.topic, out.partition, out.key, out.value, (*out.own, *common) if out.derived else tuple(out.own)


def _name(record: Spelled) -> str:
    return f"{record[0]} {(dict(record[4]).get('ce_id') or b'?').decode()}"


class _Recorder:
    """An agent that notes what it was given and keeps states by nothing but `process`, one record after the other.

    What producers repeat it recognises by id and value as they are, while the engine does by short hashes.
    """

    def __init__(self, agent: Toy) -> None:
        self._agent = agent
        self._applied: dict[str, dict[tuple[str, str], Any]] = defaultdict(dict)
        self.prepared: list[tuple[str, str]] = []
        self.twice: list[str] = []
        self.states: dict[str, State] = {}
        self.name, self.sources, self.targets = agent.name, agent.sources, agent.targets

    def key(self, trigger: Trigger) -> str:
        return self._agent.key(trigger)

    def process(self, state: State, trigger: Trigger, rules: Any) -> Any:
        key, named = self.key(trigger), (trigger.topic, trigger.id)
        applied = self._applied[key]
        self.prepared.append(named)
        if CATALOGUE[trigger.topic].producer_dedup and applied.get(named, trigger.value) != trigger.value:
            return self._agent.process(state, trigger, rules)  # a conflict: the engine must refuse it
        if named in applied:
            self.twice.append(f"1 twice {named}")
        with suppress(Reject):
            self.states[key], _ = self._agent.process(self.states.get(key), trigger, rules)
            applied[named] = trigger.value
        if self.states.get(key) is None:
            for known in [known for known in applied if CATALOGUE[known[0]].producer_dedup]:
                del applied[known]  # a finished key forgets: a retry after its end begins it anew
        return self._agent.process(state, trigger, rules)


class _History(NamedTuple):
    """What the units' journals contain together."""

    outputs: dict[Spelled, None]
    """Everything that must be produced."""
    prepared: dict[str, list[tuple[str, str]]]
    """Per agent (topic, id) in the order processed."""


def check(world: World) -> list[str]:
    """All failures of a world at rest."""
    bad = [f"5 {early}" for early in world.broker.early]
    history = _History({}, {name: [] for name in world.agents})
    first: dict[Spelled, int] = {}
    """When the first copy of each record was produced."""
    forms: dict[tuple[str, bytes | None], set[Spelled]] = defaultdict(set)
    for place, log in world.broker.produced.items():
        for produced in log:
            if produced.by != "input":
                spelled = (*place, produced.record.key, produced.record.value, produced.headers)
                first.setdefault(spelled, produced.at)
                if produced.record.derived:
                    forms[place[0], dict(produced.headers)["ce_id"]].add(spelled)
    bad += [f"2 differ {topic} {(name or b'').decode()}" for (topic, name), copies in forms.items() if len(copies) > 1]
    for name, agent in world.agents.items():
        for partition in range(PARTITIONS):
            bad += _check_unit(world, agent, partition, first, history)
        seen = set(history.prepared[name])
        bad += [f"1 lost {key}" for key in sorted(_good(world, agent.sources) - seen)]
        twice = Counter(key for key in history.prepared[name] if not CATALOGUE[key[0]].producer_dedup)
        bad += [f"1 twice {key}" for key, count in twice.items() if count > 1]
    real = {spelled for spelled in first if spelled[0] != "journal"}
    bad += [f"4 replay lacks {_name(spelled)}" for spelled in real if spelled not in history.outputs]
    bad += [f"2 not produced {_name(spelled)}" for spelled in history.outputs if spelled not in real]
    return sorted(bad)


def _good(world: World, sources: tuple[str, ...]) -> set[tuple[str, str]]:
    """(topic, id) of every record that is JSON on these topics, by its id alone."""
    return {
        (topic, _id(raw))
        for (topic, _), log in world.broker.topics.items()
        if topic in sources
        for raw in log
        if raw is not None
        and raw.value != b"{"
        and not (CATALOGUE[topic].ours and not SEALS.valid(topic, raw, dict(raw.headers)))
    }


def _id(raw: Fetched) -> str:
    named: str | None = orjson.loads(raw.value or b"").get("id")
    return named or (dict(raw.headers)["ce_id"] or b"").decode()


def _journal(world: World, processor: str, partition: int, bad: list[str]) -> tuple[list[Any], list[int]]:
    """First copies of a unit's journal records, and when each was produced (the first entry is batch 0's)."""
    entries: dict[int, Any] = {}
    forms: dict[int, Any] = {}
    times, previous = [0], None
    for produced in world.broker.produced["journal", partition]:
        if produced.record.key != processor.encode():
            continue
        value = produced.record.value or b""
        entry = orjson.loads(value)
        number = entry["batch"]
        if number in entries:
            if forms[number] != (value, produced.headers):
                bad.append(f"4 journal differs {processor} {number}")
            continue
        if entry["previous"] != previous:
            bad.append(f"4 chain of {processor} broken at {number}")
        entries[number], forms[number] = entry, (value, produced.headers)
        times.append(produced.at)
        previous = hashlib.sha256(value).hexdigest()
    batches, epoch = 0, -1
    for logged in world.broker.changelogs[processor.split("/")[0], partition].ever:
        if logged.key == EPOCH_KEY:
            epoch = logged.offset
        elif logged.key == CHECKPOINT_KEY and logged.value and logged.epoch >= epoch:
            batches = max(batches, decode_checkpoint(logged.value).batch)
    if [*entries] != [*range(1, batches + 1)]:
        bad.append(f"4 gap: journal of {processor} has {[*entries]}, {batches} batches were checkpointed")
    return list(entries.values()), times


def _stored_states(world: World, agent: str, partition: int) -> dict[str, bytes]:
    values: dict[bytes, bytes] = {}
    Recovered(values).apply(world.broker.changelogs[agent, partition].entries)
    return {key[1:].decode(): value for key, value in values.items() if key[:1] == b"s"}


def _check_unit(world: World, agent: Toy, partition: int, first: dict[Spelled, int], history: _History) -> list[str]:
    processor, broker, design = f"{agent.name}/{partition}", world.broker, world.design
    bad: list[str] = []
    entries, times = _journal(world, processor, partition, bad)
    if bad:
        return bad
    read: dict[str, list[int]] = defaultdict(list)
    recorder = _Recorder(agent)
    engine = design.engine(recorder, PARTITIONS, "sim", SIZES, SEALS, CATALOGUE)
    states: dict[str, bytes] = {}
    watermarks: Watermarks = {}
    order: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, entry in enumerate(entries, 1):
        records = []
        for topic, begin, count in entry["runs"]:
            run = [raw for raw in broker.topics[topic, partition][begin : begin + count] if raw is not None]
            read[topic] += [raw.offset for raw in run]
            records += [(topic, raw) for raw in run]
        if inputs_digest(records) != entry["inputs"]:
            bad.append(f"4 inputs of {processor} batch {number} are not what its runs name")
        rules = policy(int(entry["policy"]) if design.journal_policy else world.policy_number)
        refused = entry.get("refused") if design.journal_refusals else None
        if refused is not None:
            history.prepared[agent.name] += [(topic, _id(raw)) for topic, raw in records if raw.value != b"{"]
        done = engine.process(records, rules, states.get, watermarks, partition=partition, refuse=refused)
        watermarks = done.watermarks
        keep(states, done.states)
        common = engine.common_headers(rules, partition, number)
        for out in done.rejected_or_rerouted:
            history.outputs[_spell(out, ())] = None
        for out in done.outputs:
            spelled = _spell(out, common)
            history.outputs[spelled] = None
            at = first.get(spelled)
            if at is not None:
                order[out.topic, out.partition].append(at)
                if not times[number - 1] < at < times[number]:
                    bad.append(f"4 time of {_name(spelled)}, {processor} batch {number}")
    history.prepared[agent.name] += recorder.prepared
    bad += recorder.twice
    bad += [f"3 order of {processor} on {place}: {ats}" for place, ats in order.items() if ats != sorted(ats)]
    for topic in agent.sources:
        there = [raw.offset for raw in broker.topics[topic, partition] if raw is not None]
        if read[topic] != there:
            bad.append(f"4 runs of {processor} on {topic}: {read[topic]}, records at {there}")
    stored = _stored_states(world, agent.name, partition)
    if stored != states:
        bad.append(f"4 replay states of {processor} {states}, not {stored}")
    # Every owner has looked at its log's end: what a zombie hid is repaired by now, and the lag may pass.
    broker.changelogs[agent.name, partition].compact(lag=False)
    if (later := _stored_states(world, agent.name, partition)) != stored:
        bad.append(f"1 states of {processor} {later} after the compaction lag, {stored} before")
    deduplicated = any(CATALOGUE[topic].producer_dedup for topic in agent.sources)
    kept = {key: unpack(value)[0] if deduplicated else orjson.loads(value) for key, value in stored.items()}
    if kept != {key: state for key, state in recorder.states.items() if state is not None}:
        bad.append(f"1 states of {processor} {kept}, the history gives {recorder.states}")
    return bad
