"""Re-run every agent in journal order, from topics alone, and compare each derived record byte for byte.

Units (agent, partition) are independent of each other: what one reads of another it reads from the topics, as it did
live. Findings are sentences; no finding is the proof. Of each record that was read only a digest stays in memory, so
with logs in files (`pipeline.replay.logs`) a few hundred thousand records take a few hundred MB.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from agents.contract import Agent
from agents.policy.compiled import Policy
from pipeline.engine.batch import Engine
from pipeline.engine.journal import inputs_digest
from pipeline.engine.marks import Marks
from pipeline.engine.wire import CE_ID, ERROR_KIND, ORIGIN, REKEYED_FROM, Headers, Outgoing
from pipeline.replay.logs import Logs
from pipeline.topics import CATALOGUE
from schemas.proofs import JournalEntry

Form = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Key, value and headers of a record: all that a reader of the topic can see of it but its offset and time."""
Name = tuple[str, int, str]
"""Topic, partition, and what tells the record from others there: its id, or where a set-aside record came from."""


@dataclass
class Report:
    """What verification found. `findings` maps a kind to sentences; empty means proved."""

    batches: int = 0
    records: int = 0
    """Records of our making on the topics, journal apart."""
    copies: int = 0
    """How many of them repeat an earlier one."""
    compared: int = 0
    """Records that the journaled batches say."""
    equal: int = 0
    findings: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def proved(self) -> bool:
        """Nothing was found."""
        return not any(self.findings.values())


def _form(raw: Any) -> Form:
    return raw.key, raw.value, tuple((name, bytes(content)) for name, content in raw.headers)


def _digest(form: Form) -> bytes:
    key, value, headers = form
    parts: list[bytes | None] = [key, value, *(part for name, content in headers for part in (name.encode(), content))]
    joined = b"".join(b"-" if part is None else b"+%d:" % len(part) + part for part in parts)
    return hashlib.blake2b(joined, digest_size=16).digest()


def _name(topic: str, partition: int, headers: Iterable[tuple[str, bytes]]) -> Name | None:
    """None: not of our making."""
    known = dict(headers)
    if REKEYED_FROM in known and ERROR_KIND not in known:
        return topic, partition, "re-keyed from " + known[REKEYED_FROM].decode()
    if topic.endswith(".dlq"):
        return topic, partition, "dead letter of " + known.get(ORIGIN, b"?").decode()
    if ORIGIN in known and CE_ID in known:
        return topic, partition, known[CE_ID].decode()
    return None


class Verifier:
    """Holds what stands on the topics, and compares units with it.

    policy_of: compiled policy of a digest; raises KeyError when it was never published. progress: told which unit comes
    next.
    """

    def __init__(
        self,
        logs: Logs,
        policy_of: Callable[[str], Policy],
        *,
        partitions: int,
        max_record_bytes: int,
        progress: Callable[[str], None] = lambda unit: None,
    ) -> None:
        self.report = Report()
        self._logs = logs
        self._policy_of = policy_of
        self._partitions = partitions
        self._max_record_bytes = max_record_bytes
        self._progress = progress
        self._first: dict[Name, tuple[int, bytes]] = {}
        """First copy of each of our records that no batch has said yet: its offset and its form's digest."""
        self._said: set[bytes] = set()
        """Digests of names that a batch has said."""
        self._index()

    def _index(self) -> None:
        for (topic, partition), log in self._logs.items():
            if topic == "journal":
                continue
            for raw in log:
                name = _name(topic, partition, raw.headers)
                if name is None:
                    continue
                self.report.records += 1
                digest = _digest(_form(raw))
                first = self._first.setdefault(name, (raw.offset, digest))
                if first[0] != raw.offset:
                    self.report.copies += 1
                if first[1] != digest:
                    self._find("copies differ", f"{name} at offsets {first[0]} and {raw.offset}")

    def _find(self, kind: str, told: str) -> None:
        self.report.findings[kind].append(told)

    def run(self, agents: Sequence[Agent]) -> Report:
        """Verify all units of these agents."""
        for agent in agents:
            for partition in range(self._partitions):
                self._progress(f"{agent.name}/{partition}")
                self._unit(agent, partition)
        for name in self._first:
            self._find("invented", f"{name} is on its topic, but no journaled batch says it")
        return self.report

    def _journal(self, unit: str, partition: int) -> list[dict[str, Any]]:
        """First copies of a unit's journal records, checked for copies, gaps and the chain."""
        entries: dict[int, dict[str, Any]] = {}
        forms: dict[int, Form] = {}
        previous = None
        for raw in self._logs[("journal", partition)]:
            if raw.key != unit.encode():
                continue
            try:
                entry = JournalEntry.model_validate_json(raw.value or b"").model_dump()
            except ValidationError as error:
                told = f"journal/{partition} at offset {raw.offset}, of {unit}: {error.errors()[0]['msg']}"
                self._find("journal unreadable", told)
                continue
            number = entry["batch"]
            if number in forms:
                if forms[number] != _form(raw):
                    self._find("copies differ", f"journal record {unit}/{number} at offset {raw.offset}")
                continue
            if number != len(entries) + 1:
                self._find("journal gap", f"{unit}: batch {number} follows {len(entries)}")
            if entry["previous"] != previous:
                self._find("journal chain", f"{unit}: batch {number} does not name the record before it")
            entries[number], forms[number] = entry, _form(raw)
            previous = hashlib.sha256(raw.value).hexdigest()
        return list(entries.values())

    def _unit(self, agent: Agent, partition: int) -> None:
        unit = f"{agent.name}/{partition}"
        states: dict[str, bytes] = {}
        marks: Marks = {}
        following = dict.fromkeys(agent.sources, 0)
        spoken: dict[tuple[str, int], int] = {}
        for entry in self._journal(unit, partition):
            self.report.batches += 1
            records = self._inputs(unit, entry, partition, following)
            if records is None:
                return
            try:
                policy = self._policy_of(entry["policy"])
            except KeyError:
                self._find("not verifiable", f"{unit}: policy {entry['policy']} of batch {entry['batch']} is unknown")
                return
            engine = Engine(agent, self._partitions, entry["version"], self._max_record_bytes)
            refused = entry.get("refused")
            done = engine.process(records, policy, states.get, marks, partition=partition, refuse=refused)
            marks = done.marks
            for key, state in done.states.items():
                if state is None:
                    states.pop(key, None)
                else:
                    states[key] = state
            common = engine.common_headers(policy, partition, entry["batch"])
            for out in done.aside:
                self._compare(unit, out, (), None)
            for out in done.outputs:
                self._compare(unit, out, common if out.derived else (), spoken)
        for topic, offset in following.items():
            length = len(self._logs[topic, partition])
            if offset != length:
                self._find("missing", f"{unit}: {topic} was read up to {offset}, it holds {length}")

    def _inputs(
        self, unit: str, entry: Mapping[str, Any], partition: int, following: dict[str, int]
    ) -> list[tuple[str, Any]] | None:
        """The records a batch read; None where the journal cannot be followed further."""
        records = []
        for topic, first, count in entry["runs"]:
            log = self._logs[topic, partition]
            if first != following[topic] or first + count > len(log):
                told = f"{unit}: batch {entry['batch']} reads {topic} from {first}, {count} records; expected from "
                self._find("runs", f"{told}{following[topic]}, and the topic holds {len(log)}")
                return None
            following[topic] = first + count
            records += [(topic, raw) for raw in log[first : first + count]]
        if inputs_digest(records) != entry["inputs"]:
            self._find("inputs changed", f"{unit}: what batch {entry['batch']} read is no longer what stands there")
        return records

    def _compare(self, unit: str, out: Outgoing, common: Headers, spoken: dict[tuple[str, int], int] | None) -> None:
        self.report.compared += 1
        headers = tuple((name, bytes(content)) for name, content in (*out.own, *common))
        name = _name(out.topic, out.partition, headers)
        if name is None:
            self._find("wrong", f"{unit} says a record without a name to {out.topic}")
            return
        named = hashlib.blake2b(repr(name).encode(), digest_size=16).digest()
        found = self._first.pop(name, None)
        if found is None:
            self._find("said twice" if named in self._said else "missing", f"{unit}: {name}")
            return
        self._said.add(named)
        offset, digest = found
        expected = (out.key, out.value, headers)
        if digest != _digest(expected):
            stands = _form(self._logs[out.topic, out.partition][offset])
            self._find("wrong", f"{unit}: {name} at offset {offset}: {_difference(stands, expected)}")
            return
        self.report.equal += 1
        if spoken is not None:
            place = (out.topic, out.partition)
            if offset < spoken.get(place, -1):
                self._find("out of order", f"{unit}: {name} at offset {offset} stands before what was thought earlier")
            spoken[place] = offset


def _difference(found: Form, expected: Form) -> str:
    for what, ours, theirs in zip(("key", "value", "headers"), expected, found, strict=True):
        if ours != theirs:
            return f"{what} is {theirs!r}, expected {ours!r}"
    return "equal"


def verified_topics() -> list[str]:
    """Every topic that verification needs."""
    return [*CATALOGUE, *(topic.dead_letters for topic in CATALOGUE.values() if topic.owner)]
