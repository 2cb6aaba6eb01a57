"""The style table: the formula, the last 200 cards, copies, intents."""

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from endocrine.agents.feedback.rules import FeedbackRules
from endocrine.agents.feedback.style import nudges
from properties import examples


def test_one_card_of_four_stars_gives_the_numbers_of_the_rules(listener):
    assert listener.card(4, ts=1000.5) == [
        {
            "identity": "ann",
            "temperature_delta": 0.05,
            "top_p_delta": 0.05,
            "memory_write_boost": 0.02,
            "verbosity_bias": 0.1,
            "cards": 1,
            "intents": {"affirm": 0, "reject": 0, "more_detail": 0, "soften": 0, "ground": 0},
            "locked": False,
            "unknown_actions": 1,
            "ts": 1000.5,
        }
    ]


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        (1, (-0.1, -0.1, 0.0, -0.2)),
        (2, (-0.05, -0.05, 0.0, -0.1)),
        (3, (0.0, 0.0, 0.0, 0.0)),
        (4, (0.05, 0.05, 0.02, 0.1)),
        (5, (0.1, 0.1, 0.04, 0.2)),
    ],
)
def test_one_card_of_each_rating(rules, rating, expected):
    assert nudges([rating], rules) == expected


def test_the_newest_card_weighs_most(rules):
    d = (2 * 1 + -2 * 0.98 + 1 * 0.98**2) / (1 + 0.98 + 0.98**2)
    got = nudges([5, 1, 4], rules)
    assert got == pytest.approx((0.05 * d, 0.05 * d, 0.02 * d, 0.1 * d), abs=1e-15)
    assert got.temperature_delta == pytest.approx(0.05 * 1.0004 / 2.9404, abs=1e-15)
    assert nudges([5, 1], rules).temperature_delta > 0 > nudges([1, 5], rules).temperature_delta


def test_no_cards_nudge_nothing(rules):
    assert nudges([], rules) == (0.0, 0.0, 0.0, 0.0)


def test_nudges_are_clamped(shipped):
    wide = {**shipped, **{n: {**shipped[n], "gain": 10} for n in ("temperature", "top_p", "memory_write", "verbosity")}}
    rules = FeedbackRules.model_validate(wide)
    assert nudges([5], rules) == (0.2, 0.2, 0.2, 0.3)
    assert nudges([1], rules) == (-0.2, -0.2, 0.0, -0.3)


def test_only_the_last_200_cards_count(listener):
    for n in range(200):
        listener.card(1, ts=1000.0 + n, turn="old")
    for n in range(200):
        (table,) = listener.card(5, ts=2000.0 + n)
    assert table["cards"] == 200
    assert table["temperature_delta"] == pytest.approx(0.1, abs=1e-15)
    assert len(listener.state["cards"]) == 200


def test_the_last_200_are_the_latest_by_event_time(listener):
    for n in range(200):
        listener.card(5, ts=2000.0 + n)
    (table,) = listener.card(1, ts=1999.0)
    assert table["cards"] == 200
    assert table["temperature_delta"] == pytest.approx(0.1, abs=1e-15)


def test_cards_count_by_event_time_whatever_order_they_arrive_in(make_listener):
    cards = [(5, 10.0), (1, 20.0), (4, 30.0)]
    tables = []
    for order in itertools.permutations(cards):
        listener = make_listener()
        for rating, ts in order:
            (table,) = listener.card(rating, ts=ts)
        tables.append({**table, "ts": None})
    assert tables == tables[:1] * 6


def test_of_equal_times_the_one_that_arrived_last_is_newest(make_listener, rules):
    listener = make_listener()
    listener.card(5, ts=10.0)
    (table,) = listener.card(1, ts=10.0)
    assert table["temperature_delta"] == nudges([1, 5], rules).temperature_delta


def test_a_copy_of_a_card_gives_nothing(listener):
    listener.card(4, id="a")
    state = listener.state
    assert listener.card(4, id="a") == []
    assert listener.card(1, id="a", turn="other") == []
    assert listener.state == state
    assert len(listener.card(4, id="b")) == 1


def test_a_card_for_an_unknown_turn_is_kept_counted_and_marked(listener):
    listener.modulate("t1")
    listener.card(4, turn="t1")
    (table,) = listener.card(5, turn="never seen")
    assert (table["cards"], table["unknown_actions"]) == (2, 1)
    assert table["temperature_delta"] > 0.07


def test_a_card_stays_marked_when_its_turn_is_heard_of_later(listener):
    listener.card(4, turn="t1")
    listener.modulate("t1")
    assert listener.card(4, turn="t1")[0]["unknown_actions"] == 1


def test_intents_are_counted_over_the_cards_that_count(make_listener):
    listener = make_listener(cards_kept=2)
    listener.card(4, ts=1.0, symbols=["ground"])
    listener.card(4, ts=2.0, symbols=["affirm", "more_detail", "affirm"])
    (table,) = listener.card(4, ts=3.0, symbols=["affirm", "reject", "soften"])
    assert table["intents"] == {"affirm": 3, "reject": 1, "more_detail": 1, "soften": 1, "ground": 0}


def test_notes_tags_and_hashes_stay_out_of_state_and_outputs(listener):
    out = listener.card(4, note="private note", tags=["private tag"], context_hash="private hash")
    assert b"private" not in orjson.dumps([listener.state, out])


def test_other_commands_are_not_feedbacks(listener):
    assert listener.note() == []
    assert listener.state is None
    assert listener.release() == []
    assert listener.state is None


@pytest.mark.parametrize(
    "change",
    [
        {"cards_kept": 201},
        {"decay": 0.0},
        {"temperature": {"gain": 0.05, "low": -0.3, "high": 0.2}},
        {"memory_write": {"gain": 0.02, "low": -0.1, "high": 0.2}},
        {"verbosity": {"gain": 0.1, "low": -0.3, "high": 0.4}},
        {"drift": {"more_than": 5, "window_s": 1.0, "high_rating": 4, "low_rating": 2, "cards_kept": 5}},
        {"surplus": 1},
    ],
)
def test_rules_out_of_range_are_refused(shipped, change):
    with pytest.raises(ValidationError):
        FeedbackRules.model_validate({**shipped, **change})


TURNS = st.sampled_from(["t1", "t2", "t3"])
RATINGS = st.integers(1, 5)
EVENTS = st.one_of(
    st.tuples(
        st.just("card"), st.integers(1, 5), st.integers(0, 400_000).map(float), TURNS, st.sampled_from("abcdefghij")
    ),
    st.tuples(st.just("card"), st.integers(1, 5), st.integers(0, 90_000).map(float), TURNS, st.none()),
    st.tuples(st.just("modulate"), TURNS, st.sampled_from(["strict", "balanced", "creative"]), st.integers(0, 3)),
    st.tuples(st.just("incident"), TURNS, st.sampled_from(["tool_blocked", "moderation", "drift_lock"])),
    st.tuples(st.just("release")),
)


def _play(listener, events):
    out = []
    for kind, *rest in events:
        out += getattr(listener, kind)(*rest)
    return out


@given(st.lists(EVENTS, max_size=60))
@settings(max_examples=examples(120), deadline=None)
def test_of_cards_without_notes_nothing_but_bounded_tables_and_drift_locks_leaves(make_listener, events):
    """Every output is checked against its model, bounds included, by the listener; here is what feedback may say."""
    for value in _play(make_listener(), events):
        if "kind" in value:
            assert (value["kind"], value["attempted"], value["prompt_hmac"]) == ("drift_lock", None, None)
        else:
            assert set(value) == {
                "identity", "temperature_delta", "top_p_delta", "memory_write_boost", "verbosity_bias", "cards",
                "intents", "locked", "unknown_actions", "ts",
            }  # fmt: skip
            assert abs(value["temperature_delta"]) <= 0.2
            assert abs(value["top_p_delta"]) <= 0.2
            assert 0 <= value["memory_write_boost"] <= 0.2
            assert abs(value["verbosity_bias"]) <= 0.3


@given(st.lists(EVENTS, max_size=40), st.data())
@settings(max_examples=examples(80), deadline=None)
def test_where_batches_are_cut_makes_no_difference(make_listener, events, data):
    """The state is stored between batches: one listener goes through bytes at each step, the other never."""
    cuts = data.draw(st.sets(st.integers(0, 40)))
    stepwise, batched = make_listener(), make_listener()
    outputs = _play(stepwise, events)
    start, seen = 0, []
    for cut in [*sorted(cuts), len(events)]:
        part = events[start : max(start, cut)]
        fresh = make_listener()
        fresh.state, fresh.fed = batched.state, batched.fed
        seen += _play(fresh, part)
        batched, start = fresh, max(start, cut)
    assert orjson.dumps(seen) == orjson.dumps(outputs)
    assert orjson.dumps(batched.state) == orjson.dumps(stepwise.state)


@given(st.lists(EVENTS, max_size=60))
@settings(max_examples=examples(50), deadline=None)
def test_memory_is_bounded(make_listener, events):
    drift = {"more_than": 1, "window_s": 86400.0, "high_rating": 4, "low_rating": 2, "cards_kept": 3}
    listener = make_listener(cards_kept=4, turns_kept=2, commands_remembered=1, drift=drift)
    _play(listener, events)
    if listener.state:
        assert len(listener.state["cards"]) <= 4
        assert len(listener.state["diverging"]) <= 3
        assert len(listener.state["turns"]) <= 2
        assert len(listener.state["releases"]) <= 1
