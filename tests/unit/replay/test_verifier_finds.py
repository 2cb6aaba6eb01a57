"""The verifier proves an honest run, and finds each way in which topics can be wrong."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.record_log import MemoryLog
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.verify import Report, Verifier
from recorded import PARTITIONS, SIZES, Logs, Recording, filed, randomly


@pytest.fixture(scope="module")
def honest() -> Logs:
    recording = Recording()
    recording.feed(histories.random_history(random.Random(3), 160))
    recording.run(shipped_policy(), randomly(3))
    return recording.logs


def verify(logs: Any) -> Report:
    policies = {policy.digest: policy for policy in [shipped_policy()]}
    return Verifier(logs, policies.__getitem__, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)


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
    files = filed(honest, tmp_path)
    for place, log in prepared(honest, RecordedSeals()).items():
        assert list(files[place]) == [raw._replace(headers=tuple(raw.headers)) for raw in log]
        assert list(files[place].serialized_records()) == list(MemoryLog(log).serialized_records())
    assert verify(files) == report


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


def strip_name(log: list[Fetched]) -> None:
    log[-1] = log[-1]._replace(headers=tuple(header for header in log[-1].headers if header[0] != "ce_id"))


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
        ("tool-decisions", strip_name, "missing"),
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
    same_copy(busiest(logs, "bonds"))  # nobody reads it: a copy elsewhere would be a record nobody has read
    report = verify(logs)
    assert report.proved
    assert report.copies == 1


@pytest.mark.parametrize("missing", [False, True])
def test_what_a_successor_says_again_is_counted_as_copies_and_hides_nothing(honest: Logs, missing: bool) -> None:
    logs = copy(honest)
    log = busiest(logs, "attribution-states")
    again = log[len(log) // 3 : 2 * len(log) // 3]
    assert len(again) > 3
    if missing:
        del log[len(log) // 2]
    log[:] = numbered([*log[: 2 * len(log) // 3], *again, *log[2 * len(log) // 3 :]])
    report = verify(logs)
    if missing:
        assert not report.proved  # it comes after others that were thought later
        assert set(report.findings) == {"out of order"}
    else:
        assert report.proved, report.findings
        assert report.copies == len(again)


def test_a_policy_nobody_published_makes_a_run_not_verifiable(honest: Logs) -> None:
    report = Verifier(honest, {}.__getitem__, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)
    assert report.findings["not verifiable"]
