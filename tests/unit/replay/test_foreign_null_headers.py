"""A history whose inputs have null headers is proved, and made again under another policy, like any other."""

import random
from pathlib import Path
from typing import Any

import pytest

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.records import Fetched, Header
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.difference import differences, form_of
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.provenance import NO_BATCH, Origin, origin_of
from endocrine.pipeline.replay.recorded_seals import RECORDED
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.verify import Verifier
from endocrine.pipeline.replay.what_if import WhatIf, compare_worlds
from recorded import PARTITIONS, SIZES, VERSION, Logs, Recording, filed, randomly

NAMES = (
    "ce_id", "ce_subject", "traceparent", "endocrine-origin", "endocrine-cut", "endocrine-rekeyed-from",
    "endocrine-error", "endocrine-error-kind", "mine",
)  # fmt: skip
NULLS = tuple((name, None) for name in NAMES)


def recorded(headers: tuple[Header, ...]) -> Logs:
    """Inputs with these headers, good, malformed and misplaced, half of them without an id in their value."""
    recording, lines = Recording(), histories.random_history(random.Random(4), 200)
    for line in lines[::2]:
        if isinstance(line["value"], dict):
            line["value"].pop("id", None)
    recording.publish(shipped_policy())
    recording.feed(lines)
    for place, log in recording.logs.items():
        if place[0] != "policies":  # ours, sealed
            recording.logs[place] = [raw._replace(headers=headers) for raw in log]
    recording.run(shipped_policy(), randomly(4))
    return recording.logs


@pytest.fixture(scope="module")
def logs() -> Logs:
    return recorded(NULLS)


def verify(logs: Any, scope: Scope | None = None) -> Report:
    told = {} if scope is None else {"scope": scope}
    sizes = {"partitions": PARTITIONS, "sizes": SIZES}
    return Verifier(logs, PolicyHistory(logs), **sizes, **told).run(AGENTS)


def set_aside(logs: Logs, *, dead: bool) -> list[Fetched]:
    """Dead letters, or re-keyed records."""
    name = "endocrine-error-kind" if dead else "endocrine-rekeyed-from"
    return [raw for (topic, _), log in logs.items() if topic.endswith(".dlq") == dead
            for raw in log if dict(raw.headers).get(name)]  # fmt: skip


def test_it_is_proved_from_memory_and_from_files(logs: Logs, tmp_path: Path) -> None:
    report = verify(logs)
    assert report.proved, report.findings
    assert report.compared == report.equal == report.records > 100
    assert verify(filed(logs, tmp_path)) == report


def test_it_is_proved_whatever_else_a_producer_says_under_names_of_dead_letters() -> None:
    report = verify(recorded((("endocrine-error", b""), ("endocrine-error-kind", b"theirs"))))
    assert report.proved, report.findings


def test_what_is_set_aside_has_the_null_headers_it_came_with(logs: Logs) -> None:
    for dead in (True, False):
        some = set_aside(logs, dead=dead)
        assert len(some) > 3
        assert all(("mine", None) in raw.headers for raw in some)


def test_a_rekeyed_record_with_a_null_subject_is_asked_for_by_its_key(logs: Logs) -> None:
    signals = {place: log for place, log in logs.items() if place[0] == "signals"}
    keys = [raw.key for raw in set_aside(signals, dead=False)]
    report = verify(logs, Scope(identity="ann", topics=frozenset({"signals"})))
    assert report.proved, report.findings
    assert report.compared == keys.count(b"ann") > 0


def test_a_foreign_record_with_null_headers_where_agents_write_names_no_unit() -> None:
    assert origin_of("modulations", dict(NULLS)) is None
    assert origin_of("modulations", {**dict(NULLS), "endocrine-origin": b"modulation/signals/0/1/0"}) is None
    assert origin_of("signals.dlq", dict(NULLS)) is None
    sealed = {**dict(NULLS), "endocrine-seal": RECORDED}
    assert origin_of("signals.dlq", sealed) == Origin("", "dead letter of ?", NO_BATCH, "", 0)


@pytest.mark.parametrize("dead", [True, False])
def test_a_null_header_that_became_empty_or_is_gone_is_found(logs: Logs, dead: bool) -> None:
    raw = set_aside(logs, dead=dead)[-1]
    (topic, n), log = next((place, log) for place, log in logs.items() if any(one is raw for one in log))
    for shown, headers in {
        "headers.mine is '', expected None": [(name, b"" if name == "mine" else c) for name, c in raw.headers],
        "headers.mine is '(absent)', expected None": [header for header in raw.headers if header[0] != "mine"],
    }.items():
        harmed = [one._replace(headers=tuple(headers)) if one is raw else one for one in log]
        report = verify({**logs, (topic, n): harmed})
        assert any(shown in sentence for sentence in report.findings["wrong"]), report.findings


def test_a_null_header_and_none_at_all_are_two_things_field_by_field() -> None:
    null, none = (form_of(Fetched(0, 0, 0, b"a", b"{}", headers)) for headers in ([["x", None]], ()))
    assert differences(null, none) == [{"path": "headers.x", "expected": None, "found": "(absent)"}]
    assert differences(null, null) == []


def what_if(logs: Logs) -> WhatIf:
    sizes = {"partitions": PARTITIONS, "sizes": SIZES}
    return compare_worlds(logs, AGENTS, PolicyHistory(logs), shipped_policy(), version=VERSION, **sizes)


def test_under_another_policy_it_comes_to_what_it_would_without_them(logs: Logs) -> None:
    found, plain = what_if(logs), what_if(recorded(()))
    assert (found.inputs, found.as_recorded, found.otherwise) == (plain.inputs, plain.as_recorded, plain.otherwise)
    assert found.same == plain.same
    assert min(found.inputs, found.same["modulations"], found.as_recorded) >= 5
