"""The verifier proves an honest run, and finds each way in which topics can be wrong."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import histories
import orjson
import pytest

from agents.policy.compiled import Policy
from agents.roster import AGENTS
from pipeline.engine.batch import Engine
from pipeline.engine.fit import partition_of
from pipeline.engine.journal import journal_record
from pipeline.engine.wire import Fetched, Outgoing
from pipeline.policy_files import shipped_policy
from pipeline.replay.logs import FileLog
from pipeline.replay.verify import Report, Verifier, verified_topics
from pipeline.simulation import parse_line

PARTITIONS = 2
MAX_BYTES = 1 << 20
Logs = dict[tuple[str, int], list[Fetched]]


def put(logs: Logs, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any = ()) -> None:
    log = logs[topic, partition]
    log.append(Fetched(partition, len(log), 0, key, value, tuple(headers)))


def run_all(logs: Logs, policy: Policy, rng: random.Random) -> None:
    """Every unit reads all there is, in batches of any size, until nothing more comes."""
    engines = [Engine(agent, PARTITIONS, "test", MAX_BYTES) for agent in AGENTS]
    units = [(engine, n, {}, defaultdict(int)) for engine in engines for n in range(PARTITIONS)]
    marks: dict[Any, Any] = defaultdict(dict)
    numbers: dict[Any, int] = defaultdict(int)
    previous: dict[Any, str | None] = defaultdict(lambda: None)
    busy = True
    while busy:
        busy = False
        for engine, n, states, fronts in units:
            unit = engine.agent.name, n
            records = []
            for topic in engine.agent.sources:
                upto = fronts[topic] + rng.randint(0, 40)
                records += [(topic, raw) for raw in logs[topic, n][fronts[topic] : upto]]
                fronts[topic] = min(upto, len(logs[topic, n]))
            busy = busy or any(fronts[topic] < len(logs[topic, n]) for topic in engine.agent.sources)
            if not records:
                continue
            busy = True
            numbers[unit] += 1
            done = engine.process(records, policy, states.get, marks[unit], partition=n)
            marks[unit] = done.marks
            states.update({key: state for key, state in done.states.items() if state is not None})
            for key in [key for key, state in done.states.items() if state is None]:
                states.pop(key, None)
            journal = journal_record(
                *unit,
                numbers[unit],
                records,
                previous=previous[unit],
                policy=policy.digest,
                version="test",
                claim=0,
            )
            common = engine.common_headers(policy, n, numbers[unit])
            for out in [*done.aside, *done.outputs, journal]:
                speak(logs, out, common)
            raw = logs["journal", n][-1]
            previous[unit] = hashlib.sha256(raw.value or b"").hexdigest()


def speak(logs: Logs, out: Outgoing, common: Any) -> None:
    put(logs, out.topic, out.partition, out.key, out.value, (*out.own, *common) if out.derived else out.own)


@pytest.fixture(scope="module")
def honest() -> Logs:
    policy, rng = shipped_policy(), random.Random(3)
    logs: Logs = {(topic, n): [] for topic in verified_topics() for n in range(PARTITIONS)}
    for line in histories.random_history(rng, 300):
        topic, key, value, _ = parse_line(orjson.dumps(line))
        put(logs, topic, 0 if key is None else partition_of(key, PARTITIONS), key and key.encode(), value)
    run_all(logs, policy, rng)
    return logs


def verify(logs: Any) -> Report:
    policies = {policy.digest: policy for policy in [shipped_policy()]}
    return Verifier(logs, policies.__getitem__, partitions=PARTITIONS, max_record_bytes=MAX_BYTES).run(AGENTS)


def copy(logs: Logs) -> Logs:
    return {place: list(log) for place, log in logs.items()}


def numbered(log: list[Fetched]) -> list[Fetched]:
    return [raw._replace(offset=offset) for offset, raw in enumerate(log)]


def busiest(logs: Logs, topic: str) -> list[Fetched]:
    return max((logs[topic, n] for n in range(PARTITIONS)), key=len)


def test_an_honest_run_is_proved_from_memory_and_from_files(honest: Logs, tmp_path: Path) -> None:
    report = verify(honest)
    assert report.proved, report.findings
    assert report.compared == report.equal == report.records > 200
    filed = {}
    for (topic, n), log in honest.items():
        filed[topic, n] = FileLog(tmp_path / f"{topic}-{n}.log")
        filed[topic, n].extend(log)
        assert list(filed[topic, n]) == [raw._replace(headers=tuple(raw.headers)) for raw in log]
    assert verify(filed) == report


def drop_last(log: list[Fetched]) -> None:
    log.pop()


def change_value(log: list[Fetched]) -> None:
    log[-1] = log[-1]._replace(value=(log[-1].value or b"") + b" ")


def change_header(log: list[Fetched]) -> None:
    log[-1] = log[-1]._replace(headers=(*log[-1].headers, ("more", b"1")))


def swap(log: list[Fetched]) -> None:
    cuts = [dict(raw.headers)["endocrine-cut"] for raw in log]
    place = next(n for n in range(len(log) - 1) if cuts[n] == cuts[n + 1])
    log[place : place + 2] = numbered([log[place + 1], log[place]])
    log[:] = numbered(log)


def copy_with_other_bytes(log: list[Fetched]) -> None:
    log.append(log[-1]._replace(offset=len(log), value=b"{}"))


def same_copy(log: list[Fetched]) -> None:
    log.append(log[0]._replace(offset=len(log)))


def forge(log: list[Fetched]) -> None:
    headers = [(name, b"forged/1/0" if name == "ce_id" else content) for name, content in log[0].headers]
    log.append(log[0]._replace(offset=len(log), headers=tuple(headers)))


def cut_journal(log: list[Fetched]) -> None:
    keys = [raw.key for raw in log]
    del log[next(n for n, key in enumerate(keys) if key in keys[n + 1 :])]
    log[:] = numbered(log)


def journal_copy_with_other_bytes(log: list[Fetched]) -> None:
    log.append(log[0]._replace(offset=len(log), value=(log[0].value or b"") + b" "))


def unreadable_journal(log: list[Fetched]) -> None:
    log[-1] = log[-1]._replace(value=b"{}")


@pytest.mark.parametrize(
    ("topic", "harm", "found"),
    [
        ("tool-decisions", drop_last, "missing"),
        ("tool-decisions", change_value, "wrong"),
        ("tool-decisions", change_header, "wrong"),
        ("tool-decisions", swap, "out of order"),
        ("tool-decisions", copy_with_other_bytes, "copies differ"),
        ("tool-decisions", forge, "invented"),
        ("tool-calls", change_value, "inputs changed"),
        ("tool-calls", same_copy, "missing"),  # a record that nobody has read
        ("journal", cut_journal, "journal gap"),
        ("journal", journal_copy_with_other_bytes, "copies differ"),
        ("journal", unreadable_journal, "journal unreadable"),
    ],
)
def test_each_harm_is_found_by_its_name(
    honest: Logs, topic: str, harm: Callable[[list[Fetched]], None], found: str
) -> None:
    logs = copy(honest)
    harm(busiest(logs, topic))
    assert verify(logs).findings[found]


def test_identical_copies_are_no_finding_and_are_counted(honest: Logs) -> None:
    logs = copy(honest)
    same_copy(busiest(logs, "tool-decisions"))
    report = verify(logs)
    assert report.proved
    assert report.copies == 1


def test_a_policy_nobody_published_makes_a_run_not_verifiable(honest: Logs) -> None:
    report = Verifier(honest, {}.__getitem__, partitions=PARTITIONS, max_record_bytes=MAX_BYTES).run(AGENTS)
    assert report.findings["not verifiable"]
