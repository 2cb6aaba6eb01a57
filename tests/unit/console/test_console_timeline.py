"""The timeline: pages of records of many partitions, each record once; lines that need no content; the small curves."""

import asyncio
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.console import timeline, whose
from endocrine.pipeline.console.grid import curve_of, curves_of, grid_of
from endocrine.pipeline.console.timeline import Keys, _merged, _Partition, cursor_of, shown_cursor
from endocrine.pipeline.console.timeline_lines import KIND_OF, KINDS, line_of
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.content import without_content
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.process.settings import Settings
from properties import examples


def raw(partition, offset, key, at):
    return Fetched(partition, offset, at, key.encode(), b"{}", ())


async def _pages(logs, limit, most, monkeypatch):
    """All pages of these partitions, walked from the newest on: lists of (partition, offset), and records looked at."""

    async def read_on(_, parts, room):
        looked_at = 0
        for place, part in parts.items():
            begin = max(part.first, part.low - max(1, min(part.span, room // len(parts))))
            for one in logs[place][begin : part.low]:
                looked_at += 1
                part.oldest = min(part.oldest, one.timestamp)
                if one.key.decode() in part.meant.keys:
                    part.found.appendleft(one)
            part.low, part.span = begin, part.span * 2
        return looked_at

    monkeypatch.setattr(timeline, "_read_on", read_on)
    found, ends, looked = [], {place: len(log) for place, log in logs.items()}, []
    while True:
        meant = Keys("t", frozenset({"ann"}))
        parts = {place: _Partition(meant, 0, ends[place], span=2) for place in logs}
        page = await _merged(None, parts, limit, most)
        found.append([(one.partition, one.offset) for _, one in page.records])
        looked.append(page.looked_at)
        if page.next is None:
            return found, looked
        ends = {place: page.next["t", place] for place in ends}


class _Place(int):
    """A partition's number that is its own place, as TopicPartition is."""

    @property
    def partition(self):
        return int(self)


LOGS = st.lists(
    st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.integers(0, 9)), max_size=12), min_size=1, max_size=4
)


@settings(max_examples=examples(80))
@given(LOGS, st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_pages_hold_each_record_of_the_key_once_and_each_partition_newest_first(logs, limit, most, ordered):
    if ordered:
        logs = [sorted(log, key=lambda one: one[1]) for log in logs]
    made = {_Place(n): [raw(n, at, key, ts) for at, (key, ts) in enumerate(log)] for n, log in enumerate(logs)}
    with pytest.MonkeyPatch.context() as patch:
        pages, _ = asyncio.run(_pages(made, limit, most, patch))
    shown = [one for page in pages for one in page]
    wanted = {(n, one.offset) for n, log in made.items() for one in log if one.key == b"ann"}
    assert len(shown) == len(set(shown))
    assert set(shown) == wanted
    for number in made:
        mine = [offset for partition, offset in shown if partition == number]
        assert mine == sorted(mine, reverse=True)
    if ordered and most == 9 and all(len(log) <= 2 for log in logs):  # nothing is cut short
        times = [made[partition][offset].timestamp for partition, offset in shown]
        assert times == sorted(times, reverse=True)


@settings(max_examples=examples(30))
@given(st.dictionaries(st.tuples(st.sampled_from(sorted(KIND_OF)), st.integers(0, 99)), st.integers(0, 10**18 - 1)))
def test_a_cursor_is_read_back_from_the_address(cursor):
    assert cursor_of(shown_cursor(cursor), list(KIND_OF)) == (cursor or None)


@pytest.mark.parametrize("text", ["x", "interactions.1", "other.1.2", "interactions.-1.2", "interactions.1.2~", "~"])
def test_a_cursor_of_another_form_is_refused(text):
    with pytest.raises(Problem, match="before"):
        cursor_of(text, ["interactions"])


def test_every_kind_has_topics_of_the_catalogue_and_every_topic_a_line():
    for topic in KIND_OF:
        assert topic in CATALOGUE
        assert line_of(topic, {}).text == "shown to keys with the scope content"
    assert {"turns", "decisions", "incidents", "observations", "bond", "memory", "links"} <= set(KINDS)


EVENTS = {
    "bond-events": {"identity": "ann", "timestamp": 1.0, "event_type": "phase_transition", "detail": "SECRET",
                    "data": {"old": "a", "new": "b"}},
    "memory-events": {"kind": "promoted", "subject": "ann", "memory_id": None, "type": "preference",
                      "content": "SECRET", "slot": None, "value": "SECRET", "old_status": "candidate",
                      "new_status": "active", "confidence_before": 0.5, "confidence_after": 0.5, "reason": "SECRET",
                      "by": "op", "ts": 1.0},
    "state-events": {"kind": "set", "subject": "ann", "category": "status", "key": "k", "old": None, "new": "SECRET",
                     "reason": None, "entry_id": None, "version": 1, "by": "op", "ts": 1.0},
    "conflict-events": {"kind": "opened", "subject": "ann", "slot": "tea", "conflict_id": "c", "members": [],
                        "action": None, "winner": None, "reason": "SECRET", "by": "op", "ts": 1.0},
    "link-events": {"kind": "applied", "a": "ann", "b": "bob", "old": "proposed", "new": "applied", "score": 0.91,
                    "evidence_digest": None, "refusal": None, "reason": "SECRET", "by": "op", "ts": 1.0},
    "interactions": {"kind": "opened", "audit_id": "a1", "identity": "ann", "prompt": "SECRET", "session_id": "s",
                     "turn": 1, "client": "c", "ts": 1.0},
    "feedback": {"identity": "ann", "target_action_id": "a1", "rating": 4, "note": "SECRET", "ts": 1.0},
    "commands": {"kind": "approve", "identity": "ann", "call_id": "c", "reason": "SECRET", "by": "op", "ts": 1.0},
    "observations": {"primitive": "motor.pace", "value": "SECRET", "confidence": 1.0, "source": "s", "ts": 1.0,
                     "window": {"start_ts": 1.0, "end_ts": 1.0}, "identity_ref": "ann", "id": "o", "v": 1},
}  # fmt: skip


@pytest.mark.parametrize("topic", EVENTS)
def test_a_line_without_the_scope_content_holds_no_word_of_it(topic):
    CATALOGUE[topic].validate(EVENTS[topic])
    assert "SECRET" not in line_of(topic, without_content(topic, EVENTS[topic])).text
    assert line_of(topic, EVENTS[topic]).text


def test_a_record_under_anothers_key_malformed_or_of_a_tick_is_not_shown():
    takes = whose.keys_of_topic("commands", ["ann"], Settings(), None).takes

    def one(value, key=b"ann"):
        return takes(Fetched(0, 0, 0, key, orjson.dumps(value), ()))

    assert one(EVENTS["commands"])
    assert not one(EVENTS["commands"], key=b"bob")
    assert not one({"kind": "approve"})
    assert not one({"kind": "tick", "identity": "ann", "by": "timers", "ts": 1.0})
    assert not takes(Fetched(0, 0, 0, b"ann", None, ()))


def test_a_record_that_only_we_may_write_needs_our_seal_where_keys_are_known():
    none_valid = SimpleNamespace(valid=lambda *_: False)
    record = Fetched(0, 0, 0, b"ann", orjson.dumps(EVENTS["bond-events"]), ())
    assert whose.accepted("bond-events", Settings(), None)(record)
    assert not whose.accepted("bond-events", Settings(), none_valid)(record)
    mine = Fetched(0, 0, 0, b"ann", orjson.dumps(EVENTS["feedback"]), ())
    assert whose.accepted("feedback", Settings(), none_valid)(mine)


def test_link_events_lie_under_the_first_name_and_are_of_both():
    keys = whose.keys_of_topic("link-events", ["bob"], Settings(), None, [{"a": "ann", "b": "bob"}])
    assert keys.keys == {"ann", "bob"}

    def takes(**change):
        return keys.takes(Fetched(0, 0, 0, b"ann", orjson.dumps(EVENTS["link-events"] | change), ()))

    assert takes()
    assert not takes(b="cleo")


@settings(max_examples=examples(30))
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_a_curve_stays_in_its_box_and_says_its_ends(confidences):
    curve = curve_of(confidences)
    points = [tuple(map(float, pair.split(","))) for pair in curve.points.split()]
    assert all(0 <= x <= 100 and 0 <= y <= 20 for x, y in points)
    assert f"last {confidences[-1]:.2f}" in curve.words
    assert curve_of([]) is None


def test_the_grid_puts_first_what_asks_for_a_look_and_no_state_is_left_out():
    state = {"confidence": 0.5}
    attribution = {"ann": {"a": state | {"state": "stable"}, "b": state | {"state": "drifting"}},
                   "bob": {"c": state | {"state": "odd"}}}  # fmt: skip
    newest_first = [{"identity": "ann", "primitive": "a", "confidence": one} for one in (0.9, 0.1)]
    grid = grid_of(attribution, curves_of(newest_first))
    assert [(name, [row["primitive"] for row in rows]) for name, rows in grid] == [
        ("drifting", ["b"]),
        ("stable", ["a"]),
        ("odd", ["c"]),
    ]
    assert "last 0.90" in grid[1][1][0]["curve"].words
    assert grid[0][1][0]["curve"] is None
