"""The drift alarm: what diverges, when it locks, how it is released."""

import pytest

from endocrine.agents.feedback.drift import alarm, diverges

DAY = 86_400.0


@pytest.mark.parametrize(
    ("rating", "mode", "incident", "expected"),
    [
        (4, "balanced", True, True),
        (5, "strict", True, True),
        (3, "balanced", True, False),
        (4, "strict", False, False),
        (5, "creative", False, False),
        (2, "strict", False, True),
        (1, "strict", True, True),
        (3, "strict", True, False),
        (2, "balanced", True, False),
        (1, "balanced", False, False),
        (2, None, False, False),
    ],
)
def test_high_on_an_incident_or_low_on_a_strict_turn_diverges(rules, rating, mode, incident, expected):
    assert diverges(rating, mode, incident, rules.drift) is expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0.0] * 5, False),
        ([0.0] * 6, True),
        ([0.0, 1.0, 2.0, 3.0, 4.0, DAY], True),
        ([0.0, 1.0, 2.0, 3.0, 4.0, DAY + 0.5], False),
        ([0.0, *[DAY + 1.0] * 5], False),
        ([0.0, *[DAY + 1.0] * 6], True),
        ([*[0.0] * 6, 9 * DAY], True),
    ],
)
def test_more_than_five_within_a_day_raise_the_alarm(rules, times, expected):
    assert alarm(times, rules.drift) is expected


def _diverge(listener, times):
    return [listener.card(2, ts=ts) for ts in times]


def test_the_sixth_diverging_card_locks_with_the_incident_before_the_table(listener):
    listener.modulate(mode="strict", allowlist=["retrieval"])
    out = _diverge(listener, [1000.0, 1001.0, 1002.0, 1003.0, 1004.0])
    assert [[table["locked"] for table in tables] for tables in out] == [[False]] * 5
    incident, table = listener.card(1, ts=1005.0, id="card-6")
    assert incident == {
        "incident_id": "feedback/card-6/0",
        "kind": "drift_lock",
        "audit_id": "t1",
        "identity": "ann",
        "attempted": None,
        "reason": "diverging_feedback",
        "params_snapshot": {"allowlist": ["retrieval"], "mode": "strict"},
        "prompt_hmac": None,
        "policy": "0" * 64,
        "ts": 1005.0,
    }
    assert (table["locked"], table["cards"]) == (True, 6)


def test_six_over_more_than_a_day_do_not_lock(listener):
    listener.modulate(mode="strict")
    out = _diverge(listener, [0.0, 1.0, 2.0, 3.0, 4.0, DAY + 0.5])
    assert all(len(tables) == 1 and not tables[0]["locked"] for tables in out)


def test_cards_that_step_through_the_past_are_of_the_day_in_which_they_came(listener):
    listener.modulate(mode="strict")
    out = _diverge(listener, [90 * DAY - 2 * DAY * n for n in range(6)])
    assert [len(tables) for tables in out] == [1, 1, 1, 1, 1, 2]


def test_a_late_card_can_complete_a_day(listener):
    listener.modulate(mode="strict")
    out = _diverge(listener, [0.0, 1.0, 2.0, 3.0, 5 * DAY, 4.0, 5.0])
    assert [len(tables) for tables in out] == [1, 1, 1, 1, 1, 1, 2]


def test_a_copy_of_a_diverging_card_counts_once(listener):
    listener.modulate(mode="strict")
    _diverge(listener, [0.0, 1.0, 2.0, 3.0])
    listener.card(2, ts=4.0, id="a")
    assert listener.card(2, ts=4.0, id="a") == []
    assert len(listener.card(2, ts=5.0, id="b")) == 2


def test_a_copy_counts_once_even_when_the_card_no_longer_counts_for_style(make_listener):
    listener = make_listener(cards_kept=1)
    listener.modulate(mode="strict")
    listener.card(2, ts=4.0, id="a")
    listener.card(3, ts=5.0)
    assert [listener.card(2, ts=4.0, id="a") for _ in range(6)] == [[]] * 6


def test_a_locked_identity_stays_locked_and_is_not_alarmed_again(listener):
    listener.modulate(mode="strict")
    _diverge(listener, [float(n) for n in range(6)])
    out = _diverge(listener, [float(n) for n in range(6, 20)])
    assert all(len(tables) == 1 and tables[0]["locked"] for tables in out)
    assert listener.card(5, ts=90 * DAY)[0]["locked"]


def test_an_operators_release_unlocks_and_forgets_the_diverging_cards(listener):
    listener.modulate(mode="strict")
    _diverge(listener, [float(n) for n in range(6)])
    (table,) = listener.release(ts=7.5)
    assert (table["locked"], table["cards"], table["ts"]) == (False, 6, 7.5)
    out = _diverge(listener, [8.0, 9.0, 10.0, 11.0, 12.0, 13.0])
    assert [len(tables) for tables in out] == [1, 1, 1, 1, 1, 2]


def test_a_copy_of_a_release_does_not_release_a_later_lock(listener):
    listener.modulate(mode="strict")
    _diverge(listener, [float(n) for n in range(6)])
    listener.release(id="r1")
    _diverge(listener, [float(n) for n in range(10, 16)])
    assert listener.release(id="r1") == []
    assert listener.state["locked"]
    assert listener.release(id="r2")[0]["locked"] is False


def test_a_release_without_a_lock_says_nothing(listener):
    listener.card(4)
    assert listener.release() == []


def test_a_turn_known_by_its_incident_alone_diverges_with_the_incidents_snapshot(listener):
    listener.incident("t9", mode="balanced", allowlist=["retrieval", "browser"])
    for n in range(5):
        assert len(listener.card(4, ts=float(n), turn="t9")) == 1
    incident, table = listener.card(5, ts=6.0, turn="t9")
    assert incident["params_snapshot"] == {"allowlist": ["retrieval", "browser"], "mode": "balanced"}
    assert table["unknown_actions"] == 0


def test_a_modulation_after_the_incident_keeps_the_incident(listener):
    listener.incident("t1")
    listener.modulate("t1", mode="balanced")
    for n in range(5):
        listener.card(4, ts=float(n))
    assert len(listener.card(4, ts=6.0)) == 2


def test_its_own_drift_lock_makes_no_incident_of_the_turn(listener):
    listener.modulate("t1")
    listener.incident("t1", kind="drift_lock")
    for n in range(10):
        assert len(listener.card(5, ts=float(n))) == 1


def test_the_latest_revision_is_the_turns_mode(listener):
    listener.modulate(mode="balanced", revision=0)
    listener.modulate(mode="strict", revision=1)
    listener.modulate(mode="balanced", revision=0)
    out = _diverge(listener, [float(n) for n in range(6)])
    assert len(out[-1]) == 2


def test_cards_for_unknown_turns_never_diverge(listener):
    for n in range(20):
        assert len(listener.card(1 + 4 * (n % 2), ts=float(n), turn="never seen")) == 1


def test_a_turn_heard_of_long_ago_is_unknown(make_listener):
    listener = make_listener(turns_kept=2)
    for turn in ("t1", "t2", "t3"):
        listener.modulate(turn)
    assert listener.card(3, turn="t1")[0]["unknown_actions"] == 1
    assert listener.card(3, turn="t2")[0]["unknown_actions"] == 1
