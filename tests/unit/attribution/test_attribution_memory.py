"""Constant memory, order of arrival, copies (rules 5)."""

from collections import deque

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.attribution.mergers import merge_categorical, merge_hash, merge_numeric
from properties import examples

DAY = 86_400.0
VALUES = {
    "categorical": st.sampled_from(["a", "b", "c", True]),
    "numeric": st.sampled_from([1.0, 1.2, 2.0, -3.0, 0.0]),
    "hash": st.sampled_from(["h1", "h2", "h3", "h4", "h5"]),
}
KINDS = st.sampled_from(sorted(VALUES))


@st.composite
def arrivals(draw, most=25):
    """(kind, series in the order of ts, the same in another order of arrival; equal ts keep theirs)."""
    kind = draw(KINDS)
    step = draw(st.sampled_from([1.0, DAY / 3]))
    times = sorted(draw(st.lists(st.integers(0, 12), min_size=1, max_size=most)))
    series = [(step * time, draw(VALUES[kind]), f"o{n}") for n, time in enumerate(times)]
    waiting = {}
    for item in series:
        waiting.setdefault(item[0], deque()).append(item)
    order = draw(st.permutations([item[0] for item in series]))
    return kind, series, [waiting[ts].popleft() for ts in order]


def triggers(observe, kind, series):
    return [observe(value, ts, id, kind) for ts, value, id in series]


@given(arrivals())
@settings(max_examples=examples(100), deadline=None)
def test_any_order_of_arrival_gives_the_state_of_the_sorted_series(policy, observe, fold, case):
    kind, ordered, arrived = case
    first, second = (fold(policy, triggers(observe, kind, series)) for series in (ordered, arrived))
    assert {**first.last, "last_change_ts": 0} == {**second.last, "last_change_ts": 0}
    assert first.state[5:8] == second.state[5:8]
    if kind != "hash" and len(ordered) <= 10:
        assert first.last == second.last


@given(arrivals())
@settings(max_examples=examples(100), deadline=None)
def test_what_is_kept_is_enough_to_judge_the_whole_series(policy, observe, fold, case):
    kind, ordered, arrived = case
    said = fold(policy, triggers(observe, kind, arrived)).last
    rules = policy.document.attribution
    values = [value for _, value, _ in ordered]
    newest = ordered[-1][0]
    if kind == "hash":
        latest = {}
        for ts, value, _ in ordered:
            latest.pop(value, None)
            latest[value] = ts
        verdict = merge_hash([value for value, ts in latest.items() if newest - ts <= DAY], rules.hash)
    else:
        verdict = (merge_numeric if kind == "numeric" else merge_categorical)(values, rules)
    assert (said["state"], said["current_value"], said["confidence"]) == verdict
    assert (said["observation_count"], said["last_observation_ts"]) == (len(ordered), newest)


@given(arrivals(), st.randoms(use_true_random=False))
@settings(max_examples=examples(100), deadline=None)
def test_a_copy_of_what_is_still_in_the_series_changes_nothing_and_says_nothing(policy, observe, fold, case, rnd):
    kind, _, arrived = case
    run = fold(policy, triggers(observe, kind, arrived))
    kept = list(zip(run.state[5], run.state[6], strict=True))
    again = [item for item in arrived if (item[0], item[1]) in kept]
    if kind == "hash":  # of a hash, the latest observation is the one that is kept
        again = [item for item in again if [o for o in arrived if o[:2] == item[:2]][-1] == item]
    else:
        again = [item for item in again if item in sorted(arrived, key=lambda o: o[0])[-10:]]
    rnd.shuffle(again)
    repeated = fold(policy, triggers(observe, kind, again), run.state)
    assert (repeated.state, repeated.states, repeated.changes) == (run.state, [], [])


def test_two_observations_of_one_time_and_value_are_two(policy, observe, fold):
    run = fold(policy, [observe("a", 1.0, f"o{n}") for n in range(3)])
    assert (run.last["observation_count"], run.last["state"]) == (3, "stable")


def test_a_re_delivered_third_observation_does_not_stand_in_for_a_fourth(policy, observe, fold):
    twice = [observe("a", 1.0, "o1"), observe("a", 2.0, "o2"), observe("a", 2.0, "o2")]
    assert fold(policy, twice).path() == []
    assert fold(policy, [*twice, observe("a", 3.0, "o3")]).path() == [("unknown", "stable")]


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_memory_does_not_grow_with_the_observations(policy, observe, fold, kind):
    def value(n):
        return float(n) + 0.123456789 if kind == "numeric" else f"{kind}-{n:060d}"

    series = [observe(value(n), 1_714_000_000.0 + n * 1.5, f"id-{n:032d}", kind) for n in range(600)]
    run = fold(policy, series[:50])
    early = len(orjson.dumps(run.state))
    late = len(orjson.dumps(fold(policy, series[50:], run.state).state))
    assert late <= early + 40  # the count has more digits, and so may numbers have
    assert late < 4_000


def test_long_values_do_not_grow_the_memory_either(policy, observe, fold):
    for kind in ("categorical", "hash", "array"):
        long = [["x" * 100_000, str(n)] if kind == "array" else "x" * 100_000 + str(n) for n in range(40)]
        run = fold(policy, [observe(value, float(n), f"o{n}", kind) for n, value in enumerate(long)])
        assert len(orjson.dumps(run.state)) < 5_000
        assert run.last["current_value"].startswith("sha256:")
        assert len({said["current_value"] for said in run.states}) == 40


def test_the_cap_on_hashes_is_visible_until_what_it_dropped_would_have_left(policy, observe, fold):
    most = policy.document.attribution.hash.most
    run = fold(policy, [observe(f"h{n}", float(n), f"o{n}", "hash") for n in range(most)])
    assert "capped" not in run.last
    run = fold(policy, [observe("one more", float(most), "o-more", "hash")], run.state)
    assert run.last["capped"] is True
    assert run.last["confidence"] == 1 / most
    run = fold(policy, [observe("one more", DAY, "o-edge", "hash")], run.state)
    assert run.last["capped"] is True  # the dropped one was seen at 0.0: just inside
    run = fold(policy, [observe("one more", DAY + 0.5, "o-out", "hash")], run.state)
    assert "capped" not in run.last


def test_a_late_hash_that_finds_no_room_does_not_hide_one_dropped_before(make_policy, observe, fold):
    policy = make_policy(hash={"window_s": 100.0, "drifting_rotations": 2, "most": 4})
    times = [50.0, 60.0, 70.0, 80.0, 90.0, 10.0, 111.0]  # at 90 that of 50 is dropped, at once that of 10
    run = fold(policy, [observe(f"h{ts}", ts, f"o{ts}", "hash") for ts in times[:-1]])
    run = fold(policy, [observe("h90.0", times[-1], "last", "hash")], run.state)
    assert run.last["capped"] is True  # 50 is still inside the window, 10 is not


def test_capped_says_in_any_order_that_there_were_more_hashes_than_are_kept(make_policy, observe, fold):
    bounds = {"window_s": 100.0, "drifting_rotations": 2}
    policies = {most: make_policy(hash={**bounds, "most": most}) for most in (4, 6, 7, 8)}  # dear to make

    @given(st.permutations([(float(n % 9), f"h{n % 7}") for n in range(14)]))
    @settings(max_examples=examples(100), deadline=None)
    def check(arrived):
        for most, policy in policies.items():
            run = fold(policy, [observe(value, ts, f"o{n}", "hash") for n, (ts, value) in enumerate(arrived)])
            assert run.last.get("capped", False) is (most < 7)
            assert run.last["confidence"] == 1 / min(most, 7)

    check()
