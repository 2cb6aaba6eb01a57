"""A lane beside the unit that wrote it: copies of what was said do not pile up, whatever stands where."""

import io

from pipeline.engine.wire import Fetched
from pipeline.replay.difference import form_of
from pipeline.replay.lanes import Index, Lane
from pipeline.replay.spool import MemoryLog

PLACE = ("gating/0", "tool-decisions", 0)


def lane_of(names: str) -> tuple[Lane, MemoryLog, list[tuple[int, int, bool]]]:
    """A lane on which records of these one-letter names stand, and a list of the copies that it tells of."""
    headers = [(("ce_id", name.encode()), ("endocrine-origin", b"gating/tool-calls/0/1/0")) for name in names]
    log = MemoryLog([Fetched(0, n, 0, b"ann", names[n].encode(), headers[n]) for n in range(len(names))])
    index = Index(io.BytesIO())
    for offset in range(len(names)):
        index.add(PLACE, offset, 1, offset)
    index.close()
    copies: list[tuple[int, int, bool]] = []
    return Lane(index, PLACE, log, lambda *told: copies.append(told)), log, copies


def test_copies_of_what_was_said_in_place_are_known_and_passed_by() -> None:
    lane, log, copies = lane_of("abcabde")
    assert [lane.take(form_of(log.at(offset))) for offset in range(3)] == [0, 1, 2]
    fourth, fifth = form_of(log.at(5)), form_of(log.at(6))
    assert lane.take(fourth) is None  # copies stand before it
    found = lane.search(fourth)
    assert found is not None
    assert found.offset == 5
    assert copies == [(0, 3, True), (1, 4, True)]
    assert lane.take(fifth) == 6  # nothing was put by: the lane is read in step again
    assert lane.rest() == []


def test_a_lane_goes_on_after_a_stop_where_it_was() -> None:
    lane, log, _ = lane_of("abcabde")
    for offset in range(2):
        lane.take(form_of(log.at(offset)))
    lane.spoken = 1
    later, _, copies = lane_of("abcabde")
    later.load(lane.dump())
    assert later.spoken == 1
    assert later.take(form_of(log.at(2))) == 2
    assert later.search(form_of(log.at(5))) is not None
    assert copies == [(0, 3, True), (1, 4, True)]
    assert later.rest() == [6]
