"""A lane beside the unit that wrote it: copies of what was said do not pile up, whatever stands where."""

import io
from collections.abc import Sequence

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.replay.difference import form_of
from endocrine.pipeline.replay.output_streams import Index, OutputStream
from endocrine.pipeline.replay.record_log import MemoryLog
from endocrine.pipeline.replay.serialized import packed

PLACE = ("gating/0", "tool-decisions", 0)


def lane_of(names: Sequence[str], run: int = 1) -> tuple[OutputStream, MemoryLog, list[tuple[int, int, bool]]]:
    """A lane on which records of these names stand, in batches of `run`, and a list of the copies that it tells of."""
    headers = [(("ce_id", name.encode()), ("endocrine-origin", b"gating/tool-calls/0/1/0")) for name in names]
    log = MemoryLog([Fetched(0, n, 0, b"ann", names[n].encode(), headers[n]) for n in range(len(names))])
    index = Index(io.BytesIO())
    for offset in range(0, len(names), run):
        index.add(PLACE, offset, min(run, len(names) - offset), offset)
    index.close()
    copies: list[tuple[int, int, bool]] = []
    return OutputStream(index, PLACE, log, lambda *told: copies.append(told)), log, copies


def serialized_records(log: MemoryLog, *offsets: int) -> list[bytes]:
    return [packed(*form_of(log.at(offset))) for offset in offsets]


def test_copies_of_what_was_said_in_place_are_known_and_passed_by() -> None:
    lane, log, copies = lane_of("abcabde")
    assert lane.take(serialized_records(log, 0)) == [0]
    assert lane.take(serialized_records(log, 1, 2, 5)) == [1, 2]  # copies stand before the last one
    found = lane.search(form_of(log.at(5)))
    assert found is not None
    assert found.offset == 5
    assert copies == [(0, 3, True), (1, 4, True)]
    assert lane.take(serialized_records(log, 6)) == [6]  # nothing was put by: the lane is read in step again
    assert lane.rest() == []


def test_what_is_taken_is_what_stands_next_whatever_piece_of_the_log_it_lies_in() -> None:
    names = [f"n{n}" for n in range(500)]
    lane, log, _ = lane_of(names, run=300)
    expected = serialized_records(log, *range(500))
    assert lane.take([*expected[:170], b"another", *expected[170:]]) == [*range(170)]
    assert lane.take([]) == []
    assert lane.take(expected[170:]) == [*range(170, 500)]
    assert lane.take(expected[:1]) == []
    assert lane.rest() == []


def test_a_lane_goes_on_after_a_stop_where_it_was() -> None:
    lane, log, _ = lane_of("abcabde")
    for offset in range(2):
        lane.take(serialized_records(log, offset))
    lane.last_offset = 1
    later, _, copies = lane_of("abcabde")
    later.load(lane.dump())
    assert later.last_offset == 1
    assert later.take(serialized_records(log, 2)) == [2]
    assert later.search(form_of(log.at(5))) is not None
    assert copies == [(0, 3, True), (1, 4, True)]
    assert later.rest() == [6]
