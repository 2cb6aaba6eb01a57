"""Part of a history: by time, identity and topic; from a snapshot where retention has taken the beginning; resumed."""

import copy
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

import histories
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.producer_dedup import unpack
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.record_log import FileLog, MemoryLog, MissingRecords
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.report import Report, Scope
from endocrine.pipeline.replay.resume import Resume, ResumeError
from endocrine.pipeline.replay.state_at import Traveller
from endocrine.pipeline.replay.state_files import MANIFEST, SnapshotError, Snapshots, write_manifest, write_states
from endocrine.pipeline.replay.verify import Verifier
from recorded import PARTITIONS, SIZES, Logs, Recording, randomly

HOUSE = {"prefix": "endocrine.", "partitions": PARTITIONS}


class Run:
    """A recording with what stood at its middle."""

    def __init__(self, folder: Path) -> None:
        recording = Recording()
        recording.publish(shipped_policy())
        lines = histories.random_history(random.Random(8), 300)
        recording.feed(lines[:150])
        recording.run(shipped_policy(), randomly(8))
        self.middle_ms = recording.clock_ms
        self.states = copy.deepcopy(recording.states)
        self.batches = dict(recording.batches)
        self.next_offsets = {
            processor: dict(next_offsets) for processor, next_offsets in recording.next_offsets.items()
        }
        self.folder = folder / "middle"
        self.folder.mkdir()
        processors = {
            processor: {
                "batch": self.batches[processor],
                "front": self.next_offsets[processor],
                "marks": {name: list(height) for name, height in recording.watermarks[processor].items()},
                "journal": recording.previous[processor],
                **write_states(self.folder, processor, self.states[processor].items()),
            }
            for processor in self.batches
        }
        write_manifest(self.folder, {**HOUSE, "units": processors})
        recording.feed(lines[150:])
        recording.run(shipped_policy(), randomly(9))
        self.logs: Logs = recording.logs
        self.end_ms = recording.clock_ms
        self.recording = recording


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("life"))


def verifier(logs: Any, **more: Any) -> Verifier:
    return Verifier(logs, PolicyHistory(logs), partitions=PARTITIONS, sizes=SIZES, **more)


def verify(logs: Any, **more: Any) -> Report:
    return verifier(logs, **more).run(AGENTS)


def without_the_beginning(life: Run) -> Any:
    """Retention has taken the sources that were read before the middle, and nothing else."""
    logs: dict[Any, Any] = dict(life.logs)
    for (topic, n), log in life.logs.items():
        if topic in ("interactions", "observations"):
            reads = [
                next_offsets[topic]
                for processor, next_offsets in life.next_offsets.items()
                if processor.endswith(f"/{n}") and topic in next_offsets
            ]
            logs[topic, n] = log[min(reads, default=0) :]
    return logs


def test_a_stretch_of_time_is_proved_alone_and_the_parts_make_the_whole(life: Run) -> None:
    whole = verify(life.logs)
    assert whole.proved
    early = verify(life.logs, scope=Scope(until_ms=life.middle_ms))
    late = verify(life.logs, scope=Scope(since_ms=life.middle_ms + 1))
    assert early.proved, (early.findings, early.not_verifiable)
    assert late.proved, (late.findings, late.not_verifiable)
    assert early.compared + late.compared == whole.compared
    assert early.compared > 100 < late.compared
    assert set(late.starts.values()) == {"the beginning"}


def test_what_lies_outside_the_stretch_is_not_found(life: Run) -> None:
    place = next(place for place, log in life.logs.items() if place[0] == "tool-decisions" and len(log) > 5)
    log = list(life.logs[place])
    log[-1] = log[-1]._replace(value=b"{}")
    logs = {**life.logs, place: log}
    assert not verify(logs).proved
    assert verify(logs, scope=Scope(until_ms=life.middle_ms)).proved


def test_a_reading_beside_workers_is_proved_whenever_it_is_taken(life: Run) -> None:
    times = sorted(raw.timestamp for log in life.logs.values() for raw in log)
    rng, coming = random.Random(4), 0
    for _ in range(6):
        journaled, read = sorted(rng.sample(times, 2))  # the journal is read first
        seen = {
            (topic, n): [raw for raw in log if raw.timestamp <= (journaled if topic == "journal" else read)]
            for (topic, n), log in life.logs.items()
        }
        report = verify(seen, scope=Scope(live_ms=0))
        assert report.proved, (report.findings, report.not_verifiable)
        coming += report.unread + report.outside
        old = verify(seen, scope=Scope(live_ms=read + 1))  # nothing is young enough to be still on its way
        assert old.proved == (report.unread + report.outside == 0)
        assert (old.unread, old.outside) == (0, 0)
        assert set(old.findings) <= {"missing", "invented"}
    assert coming > 20


def test_one_identity_and_one_topic_alone(life: Run) -> None:
    of_ann = verify(life.logs, scope=Scope(identity="ann"))
    assert of_ann.proved, of_ann.findings
    assert 0 < of_ann.compared < verify(life.logs).compared
    decisions = verify(life.logs, scope=Scope(topics=frozenset({"tool-decisions"})))
    assert decisions.proved, decisions.findings
    assert decisions.compared == sum(len(log) for (topic, _), log in life.logs.items() if topic == "tool-decisions")


def test_what_retention_took_is_not_verifiable_and_the_reason_is_told(life: Run) -> None:
    report = verify(without_the_beginning(life))
    assert not report.proved
    assert set(report.findings) == {"not verifiable"}, report.findings
    assert any("gone by retention" in told and "snapshot" in told for told in report.findings["not verifiable"])
    assert sum(report.not_verifiable.values()) > 100


def test_a_snapshot_stands_for_what_retention_took(life: Run) -> None:
    logs = without_the_beginning(life)
    report = verify(logs, snapshots=Snapshots(life.folder, HOUSE), scope=Scope(since_ms=life.middle_ms + 1))
    assert report.proved, (report.findings, report.not_verifiable)
    assert report.compared > 100
    assert any(told.startswith("the snapshot middle, batch") for told in report.starts.values())
    assert report.compared == verify(life.logs, scope=Scope(since_ms=life.middle_ms + 1)).compared


def test_a_changed_snapshot_is_refused(life: Run, tmp_path: Path) -> None:
    for file in life.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    states = next(tmp_path.glob("modulation-*.msgpack"))
    states.write_bytes(states.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotError, match="was changed"):
        verify(without_the_beginning(life), snapshots=Snapshots(tmp_path, HOUSE))
    (tmp_path / MANIFEST).write_bytes((tmp_path / MANIFEST).read_bytes() + b" ")
    with pytest.raises(SnapshotError, match="was changed"):
        Snapshots(tmp_path)
    with pytest.raises(SnapshotError, match="prefix"):
        Snapshots(life.folder, {"prefix": "other."})


def test_a_snapshot_of_another_history_is_found(life: Run, tmp_path: Path) -> None:
    manifest = orjson.loads((life.folder / MANIFEST).read_bytes())
    for file in life.folder.glob("*.msgpack"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest["units"]["modulation/0"]["journal"] = "0" * 64
    write_manifest(tmp_path, manifest)
    late = Scope(since_ms=life.middle_ms + 1)
    assert verify(life.logs, snapshots=Snapshots(tmp_path), scope=late).findings["snapshot"]


def test_a_hole_in_a_compacted_source_is_named(life: Run) -> None:
    place = next(place for place, log in life.logs.items() if place[0] == "style-tables" and len(log) > 4)
    log = life.logs[place]
    report = verify({**life.logs, place: MemoryLog([*log[:1], *log[2:]])})
    assert any("style-tables" in told and "compaction" in told for told in report.findings["not verifiable"])


def taken(records: list[Any]) -> MemoryLog:
    return MemoryLog(RecordedSeals().records("bonds", records))


def test_what_compaction_took_of_a_topic_nobody_reads_is_superseded(life: Run) -> None:
    place = next(place for place, log in life.logs.items() if place[0] == "bonds" and len(log) > 4)
    log = life.logs[place]
    latest = {raw.key: raw.offset for raw in log}
    kept = [raw for raw in log if latest[raw.key] == raw.offset]
    assert len(kept) < len(log)
    report = verify({**life.logs, place: taken(kept)})
    assert report.proved, (report.findings, report.not_verifiable)
    assert report.superseded == len(log) - len(kept)
    missing = verify({**life.logs, place: taken(kept[:-1])})  # the last of its key: no compaction takes that
    assert missing.findings["missing"]


def test_a_stopped_verification_goes_on_and_ends_with_the_same_report(life: Run, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop_at(batch: int) -> Any:
        def told(done: int, total: int) -> None:
            if done == batch:
                raise Stopped

        return told

    whole, file = verify(life.logs), tmp_path / "resume"
    for batch in (7, 40, 70):
        with pytest.raises(Stopped):
            verify(life.logs, resume=Resume(file, HOUSE, every=3), batches=stop_at(batch))
    seen: list[str] = []
    again = verify(life.logs, resume=Resume(file, HOUSE, every=3), progress=seen.append)
    assert again.plain() == whole.plain()
    assert len(seen) < len(whole.starts)
    with pytest.raises(ResumeError, match="another verification"):
        Resume(file, {**HOUSE, "prefix": "other."})


def test_findings_before_the_stop_are_in_the_report_after_it(life: Run, tmp_path: Path) -> None:
    place = next(place for place, log in life.logs.items() if place[0] == "modulations" and len(log) > 4)
    log = list(life.logs[place])
    log[0] = log[0]._replace(key=b"else")
    logs, file = {**life.logs, place: log}, tmp_path / "resume"
    whole = verify(logs)
    with pytest.raises(ZeroDivisionError):
        verify(logs, resume=Resume(file, HOUSE, every=3), batches=lambda done, total: 1 // (60 - done))
    assert verify(logs, resume=Resume(file, HOUSE, every=3)).plain() == whole.plain()


def plain(stored: bytes, agent: str) -> Any:
    sources = next(one.sources for one in AGENTS if one.name == agent)
    return unpack(stored)[0] if any(CATALOGUE[topic].producer_dedup for topic in sources) else orjson.loads(stored)


@pytest.mark.parametrize("snapshot", [False, True])
def test_every_table_is_rebuilt_as_of_then(life: Run, snapshot: bool) -> None:
    snapshots = Snapshots(life.folder) if snapshot else None
    logs = without_the_beginning(life) if snapshot else life.logs
    sizes = {"partitions": PARTITIONS, "sizes": SIZES, "snapshots": snapshots}
    for moment, states in ((life.middle_ms, life.states), (life.end_ms, life.recording.states)):
        traveller = Traveller(logs, PolicyHistory(logs), **sizes)
        found = {(f"{one.agent}/{one.partition}", one.key): one.state for one in traveller.states(AGENTS, moment)}
        assert traveller.problems == []
        assert found == {
            (processor, key): plain(stored, processor.split("/")[0])
            for processor, kept in states.items()
            for key, stored in kept.items()
            if key != CHAIN_KEY
        }
    of_ann = list(Traveller(logs, PolicyHistory(logs), **sizes).states(AGENTS, life.end_ms, "ann"))
    assert of_ann
    assert all(one.key == "ann" or one.key.startswith("ann/") for one in of_ann)


def test_before_the_oldest_snapshot_nothing_is_told(life: Run) -> None:
    logs = without_the_beginning(life)
    traveller = Traveller(
        logs, PolicyHistory(logs), partitions=PARTITIONS, sizes=SIZES, snapshots=Snapshots(life.folder)
    )
    early = list(traveller.states(AGENTS, life.middle_ms // 2))
    assert not [one for one in early if one.agent == "modulation"]
    assert any("modulation" in problem for problem in traveller.problems)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_log_is_read_by_offset_whatever_is_gone(life: Run, kind: str, tmp_path: Path) -> None:
    records = next(log for log in life.logs.values() if len(log) > 20)
    log: Any = MemoryLog() if kind == "memory" else FileLog(tmp_path / "log")
    log.extend([*records[5:8], *records[10:14]])
    assert (log.start, log.end, len(log), log.whole) == (5, 14, 7, False)
    assert [raw.offset for raw in log.run(10, 4)] == [10, 11, 12, 13]
    assert [log.place(offset) for offset in (0, 5, 7, 8, 9, 10, 13, 14, 99)] == [0, 0, 2, 3, 3, 3, 6, 7, 7]
    for first, count, why in ((4, 2, "retention"), (7, 2, "compaction"), (13, 2, "ends at 14"), (8, 1, "compaction")):
        with pytest.raises(MissingRecords, match=why):
            log.run(first, count)
