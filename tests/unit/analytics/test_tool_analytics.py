"""Figures per tool over 24 hours of event time."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent_runs import processed
from endocrine.agents.analytics.agent import AGENT
from endocrine.agents.analytics.rules import AnalyticsRules
from endocrine.agents.contract import Trigger
from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.policy.resolve import lay_over
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

DAY = 86_400.0
START = 1_000_000.0
PARAMETERS = {
    "temperature": 0.6,
    "top_p": 0.9,
    "max_output_tokens": 900,
    "reasoning_effort": 0.5,
    "retrieval_k": 6,
    "planner_beam": 2,
    "memory_write": 0.4,
    "safety_mode": "balanced",
    "tool_allowlist": [],
}


class Desk:
    """Feeds records one by one through the bytes that state is stored as."""

    def __init__(self, policy):
        self.policy, self.state, self.fed, self.appended = policy, None, 0, None

    def feed(self, topic, identity="ann", **value):
        self.fed += 1
        model = CATALOGUE[topic].adapter.validate_json(orjson.dumps({"identity": identity, **value}), strict=True)
        trigger = Trigger(topic, f"{topic}/{self.fed}", identity, model, self.appended)
        self.state, outputs = processed(AGENT, self.state, trigger, self.policy)
        for output in outputs:
            stored = CATALOGUE["tool-analytics"].adapter.validate_json(orjson.dumps(output.value), strict=True)
            assert list(output.value) == list(type(stored).model_fields)
        return outputs[0].value if outputs else None

    def result(self, status="ok", duration=10.0, ts=START, tool="browser", **more):
        return self.feed(
            "tool-results",
            call_id="c",
            audit_id="t",
            tool=tool,
            status=status,
            duration_ms=duration,
            args_summary="",
            ts=ts,
            **more,
        )

    def decide(self, decision="denied", reason="not_in_allowlist", ts=START, tool="browser", **more):
        return self.feed(
            "tool-decisions",
            call_id="c",
            audit_id="t",
            function="open_url",
            tool=tool,
            decision=decision,
            reason=reason,
            incident_id=None,
            policy="0" * 64,
            ts=ts,
            **more,
        )

    def turn(self, mode="balanced", revision=0, ts=START, **more):
        return self.feed(
            "modulations",
            audit_id="t",
            revision=revision,
            admitted=True,
            refusal=None,
            review="none",
            mode=mode,
            parameters=PARAMETERS,
            prompt_style=mode,
            signals=[],
            lineage={},
            policy="0" * 64,
            ts=ts,
            **more,
        )


def _policy(partial):
    resolved, errors = lay_over(shipped_policy().resolved, partial)
    assert errors == []
    return compile_policy(resolved)


@pytest.fixture
def desk():
    return Desk(shipped_policy())


@pytest.fixture(scope="module")
def small():
    return _policy({"analytics": {"kept": 4, "window_s": 1000.0, "bucket_s": 100.0}})


def test_results_of_a_tool_are_counted_and_a_timeout_is_an_error(desk):
    desk.result("ok")
    desk.result("error")
    record = desk.result("timeout", identity="bob")
    assert (record["tool"], record["count"], record["ok"], record["error"], record["blocked"]) == (
        "browser",
        3,
        1,
        2,
        0,
    )
    assert (record["window_s"], record["ts"]) == (DAY, START)


def test_the_percentiles_are_those_of_the_rules(desk):
    durations = [float(n) for n in range(1, 21)]
    for duration in reversed(durations):
        record = desk.result(duration=duration)
    assert (record["p50_ms"], record["p95_ms"]) == (durations[10 - 1], durations[19 - 1])


def test_one_result_is_all_percentiles_and_none_is_none(desk):
    record = desk.decide()
    assert (record["p50_ms"], record["p95_ms"]) == (None, None)
    record = desk.result(duration=7.5)
    assert (record["p50_ms"], record["p95_ms"]) == (7.5, 7.5)


def test_a_denied_call_is_blocked_and_others_are_not(desk):
    assert desk.decide("allowed", None) is None
    assert desk.decide("pending", "awaiting_approval") is None
    assert desk.decide(tool=None, reason="unknown_tool") is None
    record = desk.decide(reason="rate_limited")
    assert (record["blocked"], record["count"]) == (1, 0)


def test_turns_count_once_in_the_mode_they_began_in(desk):
    assert desk.turn("balanced") is None
    desk.turn("strict", revision=1)
    desk.turn("strict", identity="bob")
    assert desk.result()["modes"] == {"strict": 1, "balanced": 1, "creative": 0}


def test_each_tool_has_its_own_figures(desk):
    desk.result(tool="retrieval")
    assert desk.result()["count"] == 1


def test_an_event_counts_for_24_hours_to_the_end_of_them(desk):
    desk.result(ts=START)
    desk.turn(ts=START)
    record = desk.result(ts=START + DAY)
    assert (record["count"], record["modes"]["balanced"]) == (2, 1)
    record = desk.result(ts=START + DAY + 0.001)
    assert (record["count"], record["modes"]["balanced"]) == (2, 0)


def test_the_window_ends_at_the_latest_event_seen_whatever_the_order(desk):
    desk.result(ts=START + DAY)
    record = desk.result(ts=START)
    assert (record["count"], record["ts"]) == (2, START)
    assert desk.result(ts=START - 1)["count"] == 2


@pytest.mark.parametrize("ahead", [300.0, DAY + 1, 1e11])
def test_what_one_identity_claims_moves_no_figure_of_another(desk, ahead):
    desk.result()
    desk.turn()
    desk.result(identity="mallory", ts=START + ahead)
    record = desk.result(ts=START + 1)
    assert (record["count"], record["modes"]["balanced"], record["ts"]) == (3, 1, START + 1)
    assert desk.result(ts=START + DAY + 2)["count"] == 2


@pytest.mark.parametrize("ahead", [300.0, 1e11])
def test_where_there_is_an_append_time_figures_go_by_it_and_not_by_what_is_claimed(desk, ahead):
    desk.appended = START
    desk.result()
    desk.result(identity="mallory", ts=START + ahead)
    desk.appended = START + DAY
    assert desk.result(ts=START)["count"] == 3
    desk.appended = START + DAY + 0.5
    assert desk.result(ts=0.0)["count"] == 2


def test_the_clocks_of_identities_are_bounded_and_the_idlest_goes_with_its_figures():
    desk = Desk(_policy({"analytics": {"clocks": 2}}))
    for who in ("ann", "bob", "ann", "cy"):
        record = desk.result(identity=who)
    assert record["count"] == 3
    assert list(desk.state["clocks"]) == ["ann", "cy"]
    assert desk.result(identity="bob")["count"] == 2


def test_figures_of_an_older_version_are_begun_anew(desk):
    desk.state = {"now": 1e11, "tools": {"browser": {"recent": [[1e11, "ok", 1.0]], "older": {}}}, "turns": None}
    assert desk.result()["count"] == 1


def test_a_tool_the_registry_lacks_is_left_out(desk):
    assert desk.result(tool="telephone") is None
    assert desk.state is None


def test_the_flag_stops_it():
    desk = Desk(_policy({"flags": {"TOOL_ANALYTICS": False}}))
    assert (desk.result(), desk.decide(), desk.turn(), desk.state) == (None, None, None, None)


def test_older_events_leave_in_steps(small):
    desk = Desk(small)
    for n in range(10):
        record = desk.result(ts=START + n)
    assert record["count"] == 10
    assert len(desk.state["tools"]["browser"]["recent"]) == 4
    assert (
        desk.result(ts=START + 1050)["count"] == 7
    )  # 6 of the first step may be up to a step too old, and the new one
    assert desk.result(ts=START + 1100)["count"] == 2


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ok", "error", "blocked"]), st.floats(0, 3000), st.floats(0, 1e4)), max_size=60
)


@given(EVENTS)
@settings(max_examples=examples(100), deadline=None)
def test_memory_is_bounded_and_no_count_misses_an_event_of_the_window(small, events):
    desk = Desk(small)
    for place, (kind, after, duration) in enumerate(events):
        ts = START + after
        record = desk.decide(ts=ts) if kind == "blocked" else desk.result(kind, duration, ts)
        now = START + max(event[1] for event in events[: place + 1])
        inside = [event for event in events[: place + 1] if START + event[1] >= now - 1000]
        near = [event for event in events[: place + 1] if START + event[1] >= now - 1100]
        for label in ("ok", "error", "blocked"):
            low, high = (sum(event[0] == label for event in some) for some in (inside, near))
            assert low <= record[label] <= high
        held = desk.state["tools"]["browser"]
        assert len(held["recent"]) <= 4
        assert len(held["older"]) <= 12


@given(st.permutations([("ok", 1.0), ("error", 2.0), ("ok", 3.0), ("ok", 4.0)]))
@settings(max_examples=examples(24), deadline=None)
def test_the_order_of_arrival_does_not_change_the_figures(order):
    desk = Desk(shipped_policy())
    for status, duration in order:
        record = desk.result(status, duration, START + duration)
    assert (record["ok"], record["error"], record["p50_ms"], record["p95_ms"]) == (3, 1, 2.0, 3.0)


@pytest.mark.parametrize("change", [{"kept": 0}, {"window_s": 0}, {"bucket_s": 1.0}, {"clocks": 0}, {"other": 1}])
def test_rules_with_a_mistake_are_refused(change):
    shipped = shipped_policy().resolved["analytics"]
    with pytest.raises(ValidationError):
        AnalyticsRules.model_validate({**shipped, **change})
