"""The view fills a terminal exactly, at any size, whatever stands in the records."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from endocrine.pipeline.local.live.status import Status
from endocrine.pipeline.local.live.view import screen
from endocrine.pipeline.local.live.view_state import ROWS, ViewState
from endocrine.pipeline.views.event import Event
from endocrine.pipeline.views.text_width import fit
from properties import examples


@pytest.fixture
def view(make):
    view = ViewState()
    for event in (
        make.turn("ann-turn-1"),
        make.turn("eve-turn-1", "eve", mode="strict", tool_allowlist=[]),
        make.turn("gus-turn-1", "gus", refusal="rate_limited"),
        make.decision("retrieve_knowledge"),
        make.decision(decision="denied", reason="not_in_allowlist", incident_id="i"),
        make.incident("tool_blocked"),
        make.incident("drift_lock", "eve"),
        make.style("eve", locked=True),
        make.change("motor.keystroke_cadence", "conflicted", "multi_actor"),
        make.suspicion("motor.keystroke_cadence", "motor.input_modality"),
        make.bond("gus", "bonded", cap=3, count=3),
        make.bond_event("phase forming -> bonded", "gus"),
        make.dead(),
    ):
        view.apply(event)
    return view


def drawn(view, width, height, **status):
    return [line.plain for line in screen(view, Status("run", **status), width, height)]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 40), (200, 60), (81, 25), (40, 10), (20, 5)])
def test_the_view_has_exactly_the_size_of_the_terminal(view, width, height):
    lines = drawn(view, width, height)
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}


def test_at_80_by_24_everything_that_matters_can_be_read(view):
    text = "\n".join(drawn(view, 80, 24, lag={"gating": 2, "bonds": 0}, bootstrap="127.0.0.1:1"))
    for said in ("ann-turn-1", " strict ", "none", "rate_limited", "retrieval+browser", "! not_in_allowlist"):
        assert said in text, said
    for said in ("drift_lock", "LOCKED", "SUSPECTED", "multi_actor", "3/3", "lag 2 (gating 2)", "Ctrl-C ends it"):
        assert said in text, said
    assert "dead letter: feedback.dlq: rating: 7" in text


def test_at_80_by_24_there_is_a_legend_and_dead_letters_are_counted_whatever_the_lag(view):
    lag = {"modulation": 30, "conversation": 20, "audit": 10, "attribution": 7}
    lines = drawn(view, 80, 24, lag=lag, dead=7, fed=1234, derived=98765)
    assert "✓ allowed  ✗ denied  … waits for a person  ! incident" in lines[-2]
    assert "dead letters 7 · lag 67" in lines[1]
    wide = drawn(view, 110, 24, lag=lag, dead=7, fed=1234, derived=98765)[1]
    assert "lag 67 (modulation 30, 3 more)" in wide
    assert "why: signals used" in drawn(view, 140, 40)[-2]


def test_why_goes_on_below_between_words(make):
    event = make.turn("t1", mode="strict")
    event.value["signals"] = [
        {"name": name, "level": 0.7, "source": "x", "ts": 1.0, "fate": "used"} for name in ("alignment_risk", "stress")
    ]
    event.value["review"] = "suggested"
    view = ViewState()
    view.apply(event)
    rows = [line[-15:].strip() for line in drawn(view, 80, 24)[4:7]]
    assert rows == ["review,", "alignment_risk", "0.7, stress 0…"]


def test_a_long_note_takes_the_foot_broken_between_words(view):
    note = "read models stopped: no Redis answers at ENDOCRINE_REDIS_URL; start it, or set another URL"
    foot = drawn(view, 80, 24, note=note)[-2:]
    assert [line.strip() for line in foot] == [
        "read models stopped: no Redis answers at ENDOCRINE_REDIS_URL; start it, or set",
        "another URL",
    ]


def test_a_blocked_tool_is_one_row_not_two(view):
    assert len([row for row in view.tools if row.get("kind") == "tool_blocked"]) == 0


def test_the_newest_turn_stands_first_and_an_older_revision_changes_nothing(make):
    view = ViewState()
    for event in (make.turn("t1", revision=1, mode="strict"), make.turn("t2"), make.turn("t1")):
        view.apply(event)
    assert [row["audit_id"] for row in reversed(view.turns.values())] == ["t2", "t1"]
    assert view.turns["t1"]["mode"] == "strict"


def test_what_was_erased_is_no_longer_shown(make):
    view = ViewState()
    for event in (make.bond("ann"), make.style("ann"), make.gone("bonds", "ann"), make.gone("style-tables", "ann")):
        view.apply(event)
    assert view.bonds == view.styles == {}


def test_a_board_keeps_no_more_than_a_terminal_shows(make):
    view = ViewState()
    for number in range(3 * ROWS):
        view.apply(make.turn(f"t{number}"))
        view.apply(make.decision())
        view.apply(make.bond(f"u{number}"))
    assert (len(view.turns), len(view.tools), len(view.bonds)) == (ROWS, ROWS, ROWS)


@settings(max_examples=examples(60))
@given(
    name=st.text(max_size=40),
    note=st.text(max_size=200),
    width=st.integers(1, 160),
    height=st.integers(4, 50),
)
def test_no_text_from_a_topic_breaks_the_view(name, note, width, height):
    view = ViewState()
    value = {"user_id": name, "phase": name, "risk_level": name, "peak_nodes": {}, "daily_msg_cap": 0}
    view.apply(Event("bonds", name, "id", value | {"daily_msg_count": 1}, True))
    lines = [line.plain for line in screen(view, Status("run", note=note), width, height)]
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    assert all(line.isprintable() for line in lines)


@given(text=st.text(max_size=30), width=st.integers(0, 20))
def test_fit_gives_exactly_the_width(text, width):
    assert cell_len(fit(text, width)) == width
