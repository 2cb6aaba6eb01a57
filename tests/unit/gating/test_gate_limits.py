"""Rate limits and breakers: per identity and tool, in event time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

URL = {"url": "https://example.org"}


@pytest.fixture
def limited(make_gate):
    """Two browser calls per 10 s; a breaker after 2 failures for 30 s."""
    gate = make_gate(
        rate_limits={"calls": 100, "window_s": 60.0, "tools": {"browser": {"calls": 2, "window_s": 10.0}}},
        circuit={"failures": 2, "open_s": 30.0},
    )
    gate.open()
    gate.modulate()
    return gate


def browse(gate, ts, **more):
    return gate.call("open_url", URL, ts=ts, **more)[0]["reason"]


def test_calls_above_the_limit_of_a_window_are_rate_limited_and_the_next_window_begins_anew(limited):
    assert [browse(limited, ts) for ts in (100.0, 109.0, 109.9, 110.0, 111.0, 112.0)] == [
        None,
        None,
        "rate_limited",
        None,
        None,
        "rate_limited",
    ]


def test_another_tool_has_its_own_limit(limited):
    for ts in (100.0, 101.0, 102.0):
        browse(limited, ts)
    assert limited.call("retrieve_knowledge", ts=103.0)[0]["reason"] is None


def test_a_call_denied_for_an_earlier_reason_takes_nothing_of_the_limit(limited):
    for _ in range(5):
        assert limited.call("open_url", {"link": "x"}, ts=100.0)[0]["reason"] == "invalid_arguments"
    assert browse(limited, 101.0) is None


def test_a_rate_of_none_at_all_denies_every_call(make_gate):
    gate = make_gate(rate_limits={"calls": 0, "window_s": 1.0, "tools": {}})
    gate.open()
    gate.modulate()
    assert browse(gate, 100.0) == "rate_limited"


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through(limited):
    limited.result(status="error", ts=100.0)
    assert browse(limited, 100.5) is None
    limited.result(status="timeout", ts=101.0)
    assert browse(limited, 101.0) == "circuit_open"
    assert browse(limited, 130.9) == "circuit_open"
    assert browse(limited, 131.0) is None  # the probe
    assert browse(limited, 131.5) == "circuit_open"
    limited.result(status="ok", ts=132.0)
    assert browse(limited, 132.5) is None


def test_a_probe_that_fails_opens_the_breaker_again(limited):
    limited.result(status="error", ts=100.0)
    limited.result(status="error", ts=101.0)
    assert browse(limited, 140.0) is None
    limited.result(status="error", ts=141.0)
    assert browse(limited, 170.9) == "circuit_open"
    assert browse(limited, 171.0) is None


def test_a_probe_without_a_result_does_not_close_the_tool_for_ever(limited):
    limited.result(status="error", ts=100.0)
    limited.result(status="error", ts=101.0)
    assert browse(limited, 140.0) is None
    assert browse(limited, 169.0) == "circuit_open"
    assert browse(limited, 170.0) is None


def test_a_result_of_a_call_from_before_the_opening_changes_nothing(limited):
    limited.result(status="error", ts=100.0)
    limited.result(status="error", ts=101.0)
    limited.result(status="ok", ts=102.0)
    limited.result(status="error", ts=125.0)
    assert browse(limited, 130.0) == "circuit_open"
    assert browse(limited, 131.0) is None


def test_a_success_ends_a_run_of_failures(limited):
    for status in ("error", "ok", "error"):
        limited.result(status=status, ts=100.0)
    assert browse(limited, 101.0) is None


def test_a_breaker_counts_no_further_than_its_bound_however_long_a_tool_fails(limited):
    for n in range(6):
        browse(limited, 100.0 + 40 * n)
        limited.result(status="error", ts=101.0 + 40 * n)
    assert limited.state["circuits"]["browser"][0] == 2


def test_the_breaker_of_one_tool_is_not_that_of_another(limited):
    for _ in range(2):
        limited.result(tool="retrieval", status="error", ts=100.0)
    assert browse(limited, 101.0) is None
    assert limited.call("retrieve_knowledge", ts=101.0)[0]["reason"] == "circuit_open"


def test_results_of_tools_the_registry_lacks_are_not_remembered(limited):
    for n in range(50):
        limited.result(tool=f"tool{n}", status="error")
    assert limited.state["circuits"] == {}


@given(
    st.lists(st.tuples(st.sampled_from(["call", "ok", "error"]), st.floats(0, 100)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
)
@settings(max_examples=examples(80), deadline=None)
def test_no_window_has_more_allowed_calls_than_its_limit(make_gate, events, calls, failures):
    gate = make_gate(
        rate_limits={"calls": calls, "window_s": 10.0, "tools": {}}, circuit={"failures": failures, "open_s": 5.0}
    )
    gate.open()
    gate.modulate()
    allowed, start = 0, None
    for kind, ts in sorted(events, key=lambda event: event[1]):
        if kind != "call":
            gate.result(status=kind, ts=ts)
            continue
        reason = browse(gate, ts)
        assert reason in (None, "rate_limited", "circuit_open")
        if reason is None:
            if start is None or round((ts - start) * 1e6) >= 10_000_000:
                allowed, start = 0, ts
            allowed += 1
            assert allowed <= calls
