"""The protocol's four claims, held against a world that has come to rest. Each failure begins with its claim's number.

1 every good record is thought once, none is lost, and the remembered states are those of that one history
2 copies of an output are identical; every output of the history is spoken, and no other
3 the first copies in each topic are in the order thought
4 topics and journal alone give every record spoken, byte for byte, and no other; batch numbers have no gap, copies of a
  journal record are identical, the runs cover each source offset once, and the outputs of batch n are spoken between
  journal records n-1 and n
"""

from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any

import orjson

from agents.contract import Reject, State, Trigger
from pipeline.engine.batch import Engine
from pipeline.engine.wire import Outgoing
from pipeline.runtime.changelog import CLAIM_KEY, HEAD_KEY, Recovered, state_key
from pipeline.runtime.head import decode_head
from pipeline.simbroker.schedule import World
from pipeline.simbroker.toys import CATALOGUE, PARTITIONS, policy

Spelled = tuple[str, int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


def _spell(out: Outgoing, common: Any) -> Spelled:
    return out.topic, out.partition, out.key, out.value, (*out.own, *common) if out.derived else tuple(out.own)


class _Recorder:
    """An agent that notes what it was given, and keeps states by nothing but think, one record after the other."""

    def __init__(self, agent: Any, thought: list[Trigger]) -> None:
        self._agent, self._thought = agent, thought
        self.states: dict[str, State] = {}
        self.name, self.sources, self.targets = agent.name, agent.sources, agent.targets

    def key(self, trigger: Trigger) -> str:
        return str(self._agent.key(trigger))

    def think(self, state: State, trigger: Trigger, rules: Any) -> Any:
        self._thought.append(trigger)
        with suppress(Reject):
            key = self.key(trigger)
            self.states[key], _ = self._agent.think(self.states.get(key), trigger, rules)
        return self._agent.think(state, trigger, rules)


def check(world: World) -> list[str]:
    """All failures of a world at rest."""
    bad: list[str] = []
    thought: dict[str, list[Trigger]] = {name: [] for name in world.agents}
    expected: list[Spelled] = []
    for name, agent in world.agents.items():
        for partition in range(PARTITIONS):
            bad += _check_unit(world, name, agent, partition, thought[name], expected)
    real = {
        (*place, spoken.record.key, spoken.record.value, tuple(spoken.headers))
        for place, log in world.broker.spoken.items()
        for spoken in log
        if spoken.by != "input" and place[0] != "journal"
    }
    bad += [
        f"4 replay lacks {spelled[0]} {dict(spelled[4]).get('ce_id')!r}"
        for spelled in sorted(real - {*expected}, key=repr)
    ]
    bad += [
        f"2 unspoken {spelled[0]} {dict(spelled[4]).get('ce_id')!r}" for spelled in sorted({*expected} - real, key=repr)
    ]
    copies: dict[tuple[str, Any], set[Any]] = defaultdict(set)
    for (topic, _), log in world.broker.spoken.items():
        for spoken in log:
            if spoken.record.derived:
                copies[topic, dict(spoken.headers)["ce_id"]].add((spoken.record.value, tuple(spoken.headers)))
    bad += [f"2 differ {name}" for name, forms in copies.items() if len(forms) > 1]
    for name, agent in world.agents.items():
        ids = Counter((trigger.topic, trigger.id) for trigger in thought[name])
        bad += [f"1 twice {key}" for key, count in ids.items() if count > 1]
        bad += [f"1 lost {key}" for key in sorted(_good(world, agent.sources) - set(ids))]
    return bad


def _good(world: World, sources: tuple[str, ...]) -> set[tuple[str, str]]:
    """(topic, id) of every record that is JSON on these topics, by its id alone."""
    found = set()
    for (topic, _), log in world.broker.topics.items():
        if topic in sources:
            for raw in log:
                try:
                    value = orjson.loads(raw.value or b"")
                except orjson.JSONDecodeError:
                    continue
                found.add((topic, value.get("id") or dict(raw.headers)["ce_id"].decode()))
    return found


def _check_unit(
    world: World, name: str, agent: Any, partition: int, thought: list[Trigger], expected: list[Spelled]
) -> list[str]:
    unit, broker, bad = f"{name}/{partition}", world.broker, []
    journal = [spoken for spoken in broker.spoken["journal", partition] if spoken.record.key == unit.encode()]
    entries: dict[int, Any] = {}
    forms: dict[int, set[Any]] = defaultdict(set)
    times = {0: 0}
    for spoken in journal:
        entry = orjson.loads(spoken.record.value or b"")
        entries.setdefault(entry["batch"], entry)
        times.setdefault(entry["batch"], spoken.at)
        forms[entry["batch"]].add((spoken.record.value, tuple(spoken.headers)))
    bad += [f"4 journal differs {unit} {number}" for number, kinds in forms.items() if len(kinds) > 1]
    valid, claim = 0, -1
    for logged in broker.changelogs[name, partition].ever:
        if logged.key == CLAIM_KEY:
            claim = logged.offset
        elif logged.key == HEAD_KEY and logged.value and logged.claim >= claim:
            valid = max(valid, decode_head(logged.value).batch)
    if list(entries) != list(range(1, valid + 1)):
        return [*bad, f"4 gap: journal of {unit} has {list(entries)}, {valid} batches"]
    read: dict[str, list[int]] = defaultdict(list)
    mine: list[Trigger] = []
    recorder = _Recorder(agent, mine)
    replayed = Engine(recorder, PARTITIONS, "sim", 4096, CATALOGUE)
    states: dict[str, bytes] = {}
    marks: Any = {}
    for number, entry in entries.items():
        records = [
            (topic, broker.topics[topic, partition][first + step])
            for topic, first, count in entry["runs"]
            for step in range(count)
        ]
        for topic, raw in records:
            read[topic].append(raw.offset)
        rules = next(rule for n in range(world.policy_number + 1) if (rule := policy(n)).digest == entry["policy"])
        done = replayed.process(records, rules, states.get, marks, partition=partition)
        marks = done.marks
        for key, state in done.states.items():
            if state is None:
                states.pop(key, None)
            else:
                states[key] = state
        common = replayed.common_headers(rules, partition, number)
        expected += [_spell(out, common) for out in (*done.aside, *done.outputs)]
        bad += _in_time(broker, unit, number, times, {_spell(out, common) for out in done.outputs})
    thought += mine
    for topic in agent.sources:
        length = len(broker.topics[topic, partition])
        if read[topic] != list(range(length)):
            bad.append(f"4 runs of {unit} on {topic}: {read[topic]}, {length} records")
    recovered = Recovered({})
    recovered.apply(broker.changelogs[name, partition].entries)
    recovered.store.pop(HEAD_KEY, None)
    remembered = dict(recovered.store)
    if remembered != {state_key(key): state for key, state in states.items()}:
        bad.append(f"4 replay states of {unit} {states}, not {remembered}")
    if remembered != {
        state_key(key): orjson.dumps(state) for key, state in recorder.states.items() if state is not None
    }:
        bad.append(f"1 states of {unit} are not those of the thought history")
    return bad


def _in_time(broker: Any, unit: str, number: int, times: dict[int, int], outputs: set[Spelled]) -> list[str]:
    """Outputs of batch n are spoken after journal record n-1 and before journal record n."""
    bad = []
    for spelled in outputs:
        topic, partition, key, value, headers = spelled
        first = next(
            (
                spoken.at
                for spoken in broker.spoken[topic, partition]
                if (spoken.record.key, spoken.record.value, tuple(spoken.headers)) == (key, value, headers)
            ),
            None,
        )
        if first is not None and not times[number - 1] < first < times[number]:
            bad.append(f"4 time {topic} {dict(headers).get('ce_id')!r} of {unit} batch {number}")
    return bad
