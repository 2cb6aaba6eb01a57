"""Replay decides as the worker did, whoever forged what, with the keys and without."""

import random
from typing import Any

import orjson
import pytest

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.seals import KEY_BYTES, SIMULATED, KeyedSeals, SealKey, simulated_seals
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RECORDED, RecordedSeals
from endocrine.pipeline.replay.verify import Report, Verifier
from recorded import PARTITIONS, SIZES, Recording, randomly

FAR = (1 << 63) - 1
HEADERS: list[list[tuple[str, bytes | None]]] = [
    [
        ("endocrine-seal", b"simulated:" + b"0" * 32),
        ("endocrine-origin", f"modulation/interactions/0/{FAR}/0".encode()),
    ],
    [("endocrine-seal", RECORDED), ("endocrine-rekeyed-from", f"interactions/1/{FAR}".encode())],
    [("endocrine-origin", b"modulation/interactions/0/0/0"), ("endocrine-cut", b"modulation/0/1"), ("ce_id", b"x")],
    [("endocrine-seal", None)],
]


@pytest.fixture(scope="module")
def recording() -> Recording:
    """A history with strangers: forged headers on their own records, and records on topics of ours."""
    rng = random.Random(11)
    recording = Recording()
    recording.publish(shipped_policy())
    for line in histories.random_history(rng, 160):
        recording.feed([line])
        if rng.random() < 0.3:
            topic, n = rng.choice([place for place, log in recording.logs.items() if log and place[0] != "policies"])
            raw = rng.choice(recording.logs[topic, n])
            recording.put(topic, n, raw.key, raw.value, [*raw.headers, *rng.choice(HEADERS)])
    recording.run(shipped_policy(), randomly(3, 12))
    modulations = [raw for n in range(PARTITIONS) for raw in recording.logs["modulations", n]]
    for raw in modulations[:6]:  # appended again by somebody: as it is, and on another partition
        recording.put("modulations", raw.partition, raw.key, raw.value, raw.headers)
        recording.put("modulations", 1 - raw.partition, raw.key, raw.value, raw.headers)
        recording.put("tool-decisions", raw.partition, raw.key, b"{}", [("endocrine-seal", RECORDED)])
        recording.put("journal", raw.partition, f"gating/{raw.partition}".encode(), b"{}", ())
    recording.run(shipped_policy(), randomly(4, 12))
    return recording


def verify(recording: Recording, keys: KeyedSeals | None) -> Report:
    logs: Any = recording.logs
    return Verifier(logs, PolicyHistory(logs), partitions=PARTITIONS, sizes=SIZES, seals=RecordedSeals(keys)).run(
        AGENTS
    )


def test_a_history_with_forgers_is_proved_with_the_key_and_without(recording: Recording) -> None:
    forged = [entry for entry in entries(recording) if "forged" in entry]
    assert len(forged) > 3
    for keys in (None, simulated_seals()):
        report = verify(recording, keys)
        assert report.proved, dict(report.findings)
        assert report.compared > 150
    assert verify(recording, None).seals_checked is None
    assert (verify(recording, simulated_seals()).seals_checked or 0) > 150


def test_under_a_rotated_key_it_is_proved_while_the_old_one_is_in_the_file_and_not_after(recording: Recording) -> None:
    later, old = SealKey("later", b"l" * KEY_BYTES), SealKey("simulated", SIMULATED)
    assert verify(recording, KeyedSeals([later, old], "endocrine.")).proved
    report = verify(recording, KeyedSeals([later], "endocrine."))
    assert not report.proved
    assert (report.seals_checked, report.batches, report.seals_unknown > 150) == (0, 0, True)


UNREAD = ("attribution-states", "bonds", "audits", "scheduled-tasks", "dlq-actions", "signals.dlq")


def test_what_a_stranger_writes_where_no_agent_reads_is_not_ours_under_the_key(recording: Recording) -> None:
    """Without a key nobody can tell that a seal is none."""
    copy = Recording()
    copy.logs = {place: list(log) for place, log in recording.logs.items()}
    cut = next(raw for log in copy.logs.values() for raw in log if dict(raw.headers).get("endocrine-cut"))
    for topic in UNREAD:
        for headers in (*HEADERS, cut.headers, [("endocrine-error-kind", b"theirs")]):
            copy.put(topic, 0, b"ann", b"{}", headers)
    digest = b"0" * 64
    for seal in (b"other:" + b"0" * 32, b"simulated:" + b"0" * 32, RECORDED):
        copy.put("policies", 0, digest, b"{}", [("ce_id", digest), ("endocrine-seal", seal)])
    report = verify(copy, simulated_seals())
    assert report.proved, dict(report.findings)
    assert report.seals_foreign > 10
    assert report.compared == verify(recording, simulated_seals()).compared
    assert set(verify(copy, None).findings) == {"invented", "policy changed"}


def test_a_sealed_record_that_was_changed_afterwards_is_found_by_its_seal_too(recording: Recording) -> None:
    copy = Recording()
    copy.logs = {place: list(log) for place, log in recording.logs.items()}
    log = copy.logs["modulations", partition_of("user-1", PARTITIONS)] or copy.logs["modulations", 0]
    log[0] = log[0]._replace(value=(log[0].value or b"").replace(b'"revision":0', b'"revision":7'))
    report = verify(copy, simulated_seals())
    assert not report.proved
    assert "seal" in report.findings


def entries(recording: Recording) -> list[dict[str, Any]]:
    found = [orjson.loads(raw.value or b"{}") for n in range(PARTITIONS) for raw in recording.logs["journal", n]]
    return [entry for entry in found if isinstance(entry, dict)]
