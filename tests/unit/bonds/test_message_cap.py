"""The daily message cap."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.bonds.cap import check_cap
from properties import examples

DAY = 86_400.0


@pytest.mark.parametrize(
    ("cap", "count", "reset_at", "ts", "expected"),
    [
        # allowed, remaining, resets_at, count, reset_at
        (0, 10_000, 0.0, 10.0, (True, None, DAY, 10_000, 0.0)),
        (3, 0, 0.0, 10.0, (True, 3, DAY, 0, 0.0)),
        (3, 2, 0.0, 10.0, (True, 1, DAY, 2, 0.0)),
        (3, 3, 0.0, 10.0, (False, 0, DAY, 3, 0.0)),
        (3, 9, 0.0, 10.0, (False, 0, DAY, 9, 0.0)),
        (3, 3, 100.0, 100.0 + DAY, (False, 0, 100.0 + DAY, 3, 100.0)),
        (3, 3, 100.0, 100.5 + DAY, (True, 3, 100.5 + 2 * DAY, 0, 100.5 + DAY)),
        (0, 3, 100.0, 100.5 + DAY, (True, None, 100.5 + 2 * DAY, 0, 100.5 + DAY)),
        (3, 3, 5000.0, 10.0, (False, 0, 5000.0 + DAY, 3, 5000.0)),
    ],
)
def test_the_cap(cap, count, reset_at, ts, expected):
    assert check_cap(cap, count, reset_at, ts, day_s=DAY) == expected


def test_the_day_does_not_begin_again_by_going_back_and_forth(ledger):
    ledger.message(200_000.0)
    for ts in (100_000.0, 200_001.0, 0.0, 200_000.0 + DAY):
        ledger.message(ts)
    assert ledger.state["entry"]["daily_msg_count"] == 5
    assert ledger.message(200_001.0 + DAY)[1]["daily_msg_count"] == 1
    assert ledger.message(200_000.0)[1]["daily_msg_count"] == 2


def test_a_held_turn_is_counted_once_with_the_revision_that_admits_it(ledger):
    ledger.message(1000.0, audit_id="t0")
    assert ledger.message(1001.0, admitted=False, refusal="held", audit_id="t1") == ([], None)
    assert ledger.message(1002.0, admitted=False, refusal="held", revision=1, audit_id="t1") == ([], None)
    assert ledger.message(1003.0, revision=2, audit_id="t1")[1]["daily_msg_count"] == 2
    assert ledger.message(1004.0, revision=3, audit_id="t1") == ([], None)


@pytest.mark.parametrize("refusal", ["denied", "hold_expired"])
def test_a_held_turn_that_is_not_admitted_is_no_message(ledger, refusal):
    ledger.message(1000.0, audit_id="t0")
    ledger.message(1001.0, admitted=False, refusal="held", audit_id="t1")
    assert ledger.message(1002.0, admitted=False, refusal=refusal, revision=1, audit_id="t1") == ([], None)
    assert ledger.message(1003.0, revision=2, audit_id="t1") == ([], None)
    assert ledger.state["held"] == []


@given(st.integers(1, 5), st.lists(st.floats(0, 20, allow_nan=False), max_size=60))
@settings(max_examples=examples(100), deadline=None)
def test_between_two_resets_never_more_than_the_cap_is_allowed(cap, gaps):
    count, reset_at, ts, allowed = 0, 0.0, 0.0, 0
    for gap in gaps:
        ts += gap
        check = check_cap(cap, count, reset_at, ts, day_s=10.0)
        if check.reset_at != reset_at:
            allowed = 0
        allowed += check.allowed
        count, reset_at = check.count + check.allowed, check.reset_at
        assert allowed <= cap
        assert check.allowed == (check.remaining > 0)
