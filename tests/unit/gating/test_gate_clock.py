"""Time that others claim: it closes nothing for ever, and escapes no limit (rules, section 10)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

URL = {"url": "https://example.org"}
T = 1_000_000.0


@pytest.fixture
def limited(make_gate, shipped):
    """Two browser calls a minute, a breaker after 2 failures for 30 s, a person for the scheduler within 60 s."""
    gate = make_gate(
        rate_limits={"calls": 2, "window_s": 60.0, "tools": {}},
        circuit={"failures": 2, "open_s": 30.0},
        approval_ttl_s=60.0,
        tools={"scheduler": {**shipped("tools")["scheduler"], "approval": {"when": True}}},
        sequences=[
            {
                "name": "s",
                "first": {"tool": "retrieval"},
                "then": {"tool": "browser"},
                "decision": "denied",
                "window_s": 60,
            }
        ],
    )
    gate.open(ts=T)
    gate.modulate(allowlist=["retrieval", "browser", "scheduler"])
    return gate


def browse(gate, ts, appended=None, **more):
    return gate.call("open_url", URL, ts=ts, appended=appended, **more)[0]["reason"]


def test_stepping_ts_by_a_minute_gains_at_most_one_window_and_none_after(limited):
    said = [browse(limited, T + 61 * step, T + 1) for step in range(6) for _ in range(3)]
    assert said.count(None) == 2 * (1 + 1)
    said = [browse(limited, T + 300 + 61 * step, T + 62) for step in range(6) for _ in range(3)]
    assert said.count(None) == 2


def test_without_a_burst_claimed_time_gains_nothing(make_gate):
    gate = make_gate(rate_limits={"calls": 2, "window_s": 60.0, "tools": {}}, burst=0)
    gate.open(ts=T)
    gate.modulate()
    assert [browse(gate, T + 61 * step, T + 1) for step in range(6)].count(None) == 2
    assert browse(gate, T + 400, T + 61) is None


@given(
    st.lists(st.tuples(st.floats(0, 400), st.floats(-900, 300)), max_size=60),
    st.integers(1, 3),
    st.integers(0, 2),
)
@settings(max_examples=examples(100), deadline=None)
def test_in_no_span_of_append_time_are_more_calls_allowed_than_its_windows_and_the_burst(
    make_gate, records, calls, burst
):
    gate = make_gate(rate_limits={"calls": calls, "window_s": 60.0, "tools": {}}, burst=burst)
    gate.open(ts=T)
    gate.modulate()
    allowed = []
    for appended, ahead in sorted(records):
        if browse(gate, T + appended + ahead, T + appended) is None:
            allowed.append(appended)
    for first in allowed:
        for last in allowed[allowed.index(first) :]:
            inside = sum(first <= one <= last for one in allowed)
            assert inside <= calls * (2 + burst + (last - first) // 60)


def test_a_ts_as_far_ahead_as_the_engine_lets_it_be_closes_no_window_for_longer(limited):
    for _ in range(3):
        browse(limited, T + 300, T)
    assert browse(limited, T + 200, T + 200) == "rate_limited"
    assert browse(limited, T + 360, T + 360) is None


def test_the_clock_never_goes_back_so_old_times_open_no_new_window(limited):
    assert [browse(limited, T + 50 - step, None) for step in range(4)] == [None, None, "rate_limited", "rate_limited"]
    assert browse(limited, T - 500, None) == "rate_limited"


def test_a_breaker_opened_by_results_from_the_future_does_not_stay_open_for_longer(limited):
    for _ in range(2):
        limited.result(status="error", ts=T + 300, appended=T)
    assert browse(limited, T + 10, T + 10) == "circuit_open"
    assert browse(limited, T + 330, T + 330) is None


def test_a_breaker_is_not_escaped_by_claiming_that_its_time_is_over(limited):
    for _ in range(2):
        limited.result(status="error", ts=T, appended=T)
    assert browse(limited, T + 299, T + 1) == "circuit_open"
    assert browse(limited, T + 300, T + 30) is None


def test_a_sequence_is_not_escaped_by_claiming_that_its_time_is_over(limited):
    limited.call(ts=T, appended=T)
    limited.open("t2", ts=T)
    limited.modulate("t2")
    assert browse(limited, T + 299, T + 1, audit_id="t2") == "not_in_allowlist"
    limited.open("t3", ts=T)
    limited.modulate("t3")
    assert browse(limited, T + 299, T + 61, audit_id="t3") is None


def ask(gate, ts, call_id="c"):
    return gate.call("schedule_task", {"when": "w", "note": "n"}, call_id=call_id, ts=ts)[0]


def test_an_approval_waits_by_the_identitys_clock_whatever_its_call_claims(limited):
    limited.tick(T + 50)
    assert ask(limited, T - 500)["expires"] == T + 110
    assert limited.tick(T + 109) == []
    assert limited.approve("c", ts=T - 500)[0]["decision"] == "allowed"


def test_an_approval_that_claims_an_old_time_comes_too_late_all_the_same(limited):
    ask(limited, T)
    limited.open("t2", ts=T + 59)
    assert limited.close("t2", ts=T + 61)[0]["reason"] == "approval_expired"


def test_a_record_that_changes_nothing_moves_the_clock_alone_and_is_not_remembered_before_there_is_anything(
    limited, gate
):
    before = limited.state
    assert limited.tick(T + 1e6) == []
    assert limited.state == {**before, "clock": T + 1e6}
    assert limited.tick(T) == []
    assert limited.state == {**before, "clock": T + 1e6}
    gate.tick(T)
    assert gate.state is None
