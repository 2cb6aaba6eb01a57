"""The index of who wrote what: runs of offsets never reach further than the records that are there."""

import io
from types import SimpleNamespace

import pytest

from endocrine.pipeline.core.records import CE_ID, CUT, ORIGIN, SEAL, Fetched
from endocrine.pipeline.replay.index_builder import fill
from endocrine.pipeline.replay.output_streams import Index
from endocrine.pipeline.replay.record_log import MemoryLog
from endocrine.pipeline.replay.recorded_seals import RECORDED
from endocrine.pipeline.replay.report import Report, Scope

TOPIC = "tool-decisions"
PLAN = SimpleNamespace(outside=lambda *_: False, ahead=lambda *_: False)


def record(offset: int, batch: int, sealed: bool = True) -> Fetched:
    own = [(CE_ID, b"id%d" % offset), (ORIGIN, b"gating/tool-calls/0/%d/0" % offset), (SEAL, RECORDED)]
    return Fetched(0, offset, 0, b"ann", b"{}", (*(own if sealed else own[:2]), (CUT, b"gating/0/%d" % batch)))


@pytest.mark.parametrize(
    ("records", "runs"),
    [
        ([record(0, 1), record(1, 1), record(2, 1)], [(0, 3, 1)]),
        # compaction took two of a batch: what follows is a run of its own
        ([record(0, 1), record(1, 1), record(4, 1), record(5, 1)], [(0, 2, 1), (4, 2, 1)]),
        ([record(3, 1), record(4, 2), record(5, 2)], [(3, 1, 1), (4, 2, 2)]),
        ([record(0, 1), record(1, 1, sealed=False), record(2, 1)], [(0, 1, 1), (2, 1, 1)]),
    ],
    ids=["side by side", "with a hole", "two batches", "a stranger's between"],
)
def test_a_writers_runs_hold_exactly_its_records(records: list[Fetched], runs: list[tuple[int, int, int]]) -> None:
    index, report = Index(io.BytesIO()), Report()
    fill(index, {(TOPIC, 0): MemoryLog(records)}, {"gating/0": PLAN}, Scope(), report)  # type: ignore[dict-item]
    index.close()
    assert list(index.read(("gating/0", TOPIC, 0))) == runs
    assert report.records == sum(count for _, count, _ in runs)
    assert not report.findings


def test_writers_on_one_file_are_read_apart_whatever_was_written_between() -> None:
    index = Index(io.BytesIO())
    ours, theirs = ("gating/0", TOPIC, 0), ("gating/1", TOPIC, 0)
    for offset in range(3000):  # more than one chunk of each
        index.add(ours if offset % 2 else theirs, offset, 1, offset)
    index.close()
    assert list(index.read(ours)) == [(offset, 1, offset) for offset in range(1, 3000, 2)]
    assert list(index.read(theirs)) == [(offset, 1, offset) for offset in range(0, 3000, 2)]
