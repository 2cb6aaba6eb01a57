"""Which mark a record is held against, and how high: read from headers that we sealed."""

import pytest

from endocrine.pipeline.core.records import ORIGIN, REKEYED_FROM
from endocrine.pipeline.core.watermarks import origin_of, watermark_of

LAST = 2**63 - 1


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        (b"gating/tool-calls/3/17/0", ("tool-calls", 3, 17)),
        (b"g/t/0/0/0", ("t", 0, 0)),
        (b"a-b.c_1/d-e.f_2/999999999/%d/999999999" % LAST, ("d-e.f_2", 999999999, LAST)),
    ],
)
def test_the_record_that_caused_a_sealed_one_is_named_by_its_origin(origin, found):
    assert origin_of({ORIGIN: origin}) == found
    unit, _, rest = origin.rpartition(b"/")[0].rpartition(b"/")
    mark = watermark_of("out", {ORIGIN: origin})
    assert mark == (f"out<{unit.decode()}", (found[2], int(origin.rpartition(b"/")[2])))
    assert int(rest) == found[2]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"",
        b"gating/tool-calls/3/17",
        b"gating/tool-calls/3/17/0/1",
        b"Gating/tool-calls/3/17/0",
        b"gating/tool-calls/-3/17/0",
        b"gating/tool-calls/3/%d/0" % (LAST + 1),
        b"gating/tool-calls/1234567890/17/0",
        b"gating/tool-calls/3/17/0\n",
        b"g" * 65 + b"/t/0/0/0",
    ],
)
def test_what_is_no_origin_names_no_record_and_is_held_against_no_mark(origin):
    headers = {} if origin is None else {ORIGIN: origin}
    assert origin_of(headers) is None
    assert watermark_of("out", headers) is None
    assert origin_of({ORIGIN: None}) is None
    assert watermark_of("out", {ORIGIN: None}) is None


@pytest.mark.parametrize("offset", [0, 17, LAST])
def test_a_rerouted_record_is_held_against_where_it_came_from_whatever_its_origin_says(offset):
    headers = {REKEYED_FROM: b"interactions/3/%d" % offset, ORIGIN: b"gating/tool-calls/3/99/1"}
    assert watermark_of("interactions", headers) == ("interactions<re-keyed/interactions/3", (offset, 0))


@pytest.mark.parametrize("moved", [b"", b"interactions/3", b"interactions/3/17/0", b"interactions/3/%d" % (LAST + 1)])
def test_a_rerouted_record_that_does_not_say_from_where_is_held_against_no_mark(moved):
    assert watermark_of("interactions", {REKEYED_FROM: moved, ORIGIN: b"gating/tool-calls/3/99/1"}) is None


def test_marks_of_two_topics_or_partitions_or_agents_are_apart():
    origins = [b"gating/tool-calls/3/17/0", b"gating/tool-calls/4/17/0", b"audit/tool-calls/3/17/0", b"gating/x/3/17/0"]
    watermarks = {watermark_of(topic, {ORIGIN: origin})[0] for topic in ("a", "b") for origin in origins}
    assert len(watermarks) == 8
