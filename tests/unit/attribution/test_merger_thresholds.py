"""Each threshold of the three mergers, on its edge and just beside it (rules 5)."""

import math
from sys import float_info

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.attribution.mergers import merge_categorical, merge_hash, merge_numeric, weighted_mean
from properties import examples

DAY = 86_400.0


@pytest.mark.parametrize(
    ("labels", "state", "value", "confidence"),
    [
        ("a", "unknown", "a", 0.0),
        ("ab", "unknown", "b", 0.0),
        ("aaa", "stable", "a", 1.0),
        ("aab", "conflicted", "b", 2 / 3),  # a window of three needs all three
        ("aaaa", "stable", "a", 1.0),
        ("abab", "multi_actor", "b", 0.5),  # 3 flips, no repeat
        ("aba", "conflicted", "a", 2 / 3),  # alternating, but fewer than four
        ("abba", "multi_actor", "a", 0.5),  # 2 flips, 1 repeat: exactly 2 * 1
        ("aabb", "conflicted", "b", 0.5),  # 1 flip, 2 repeats
        ("aaab", "conflicted", "b", 0.75),  # 1 flip, 2 repeats; a window of four needs all four
        ("abaab", "multi_actor", "b", 0.6),  # 3 flips, 1 repeat
        ("ababa", "multi_actor", "a", 0.6),  # 4 flips; share 0.6 is just the cap
        ("aabba", "conflicted", "a", 0.6),  # 2 flips, 2 repeats: below 2 * 2
        ("abcab", "conflicted", "b", 0.4),  # three labels are no pair of hands
        ("aaaab", "stable", "a", 0.8),  # four of five are a majority, and the value is theirs
        ("baaaa", "stable", "a", 0.8),
        ("bbbbbaaaab", "drifting", "a", 0.8),  # another top before
        ("aaaabaaaab", "stable", "a", 0.8),
        ("aaabbaaaaa", "drifting", "a", 1.0),  # no majority before
        ("baaaaa", "drifting", "a", 1.0),  # an older window of one
        ("aaaaaa", "stable", "a", 1.0),
        ("aabaaaaa", "drifting", "a", 1.0),  # an older window of three needs all three
        ("aabaaaaaaa", "stable", "a", 1.0),
        ("bbbbbababa", "multi_actor", "a", 0.6),  # without a majority, what was before does not matter
        ("cccccaaaaaaaaaa", "stable", "a", 1.0),  # beyond ten, nothing counts
    ],
)
def test_labels(policy, labels, state, value, confidence):
    assert merge_categorical(list(labels), policy.document.attribution) == (state, value, pytest.approx(confidence))


def test_the_cap_of_multi_actor_confidence_binds_when_the_share_is_higher(make_policy):
    chosen = {
        "majority": 5,
        "alternating_least": 4,
        "flips_per_repeat": 1.0,
        "multi_actor_confidence": 0.6,
    }
    rules = make_policy(categorical=chosen).document.attribution
    assert merge_categorical(list("aabaa"), rules) == ("multi_actor", "a", 0.6)


def test_labels_without_a_repeat_count_as_one_repeat(make_policy):
    chosen = {"majority": 4, "alternating_least": 2, "flips_per_repeat": 2.0, "multi_actor_confidence": 0.6}
    rules = make_policy(least=2, categorical=chosen).document.attribution
    assert merge_categorical(list("ab"), rules) == ("conflicted", "b", 0.5)  # 1 flip < 2 * max(0, 1)
    assert merge_categorical(list("aba"), rules)[0] == "multi_actor"  # 2 flips


def reference_numeric(numbers):
    """Rules 5 in the plainest arithmetic, for values whose squares are doubles."""
    if len(numbers) < 3:
        return "unknown", numbers[-1], 0.0

    def mean_of(values):
        mean = values[0]
        for value in values[1:]:
            mean = 0.3 * value + 0.7 * mean
        return mean

    recent, older = numbers[-5:], numbers[-10:-5]
    mean = mean_of(recent)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in recent) / len(recent))
    variation = deviation / abs(mean) if mean else (math.inf if deviation else 0.0)
    if variation > 1.0:
        return "conflicted", mean, 0.5
    shifted = bool(older) and abs(mean - mean_of(older)) / (abs(mean_of(older)) or 1.0) >= 0.3
    return "drifting" if shifted else "stable", mean, 1 - min(variation, 1.0)


@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=1, max_size=10))
@settings(max_examples=examples(120), deadline=None)
def test_numbers_are_judged_as_the_rule_says(policy, numbers):
    state, value, confidence = merge_numeric(numbers, policy.document.attribution)
    expected = reference_numeric(numbers)
    assert (value, confidence) == (pytest.approx(expected[1], abs=1e-9), pytest.approx(expected[2], abs=1e-9))
    assert state == expected[0]


@pytest.mark.parametrize(
    ("numbers", "state", "value", "confidence"),
    [
        ([7.0, 8.0], "unknown", 8.0, 0.0),
        ([0.0, 0.0, 0.0], "stable", 0.0, 1.0),  # constant at 0
        ([-0.7, 0.3, 0.0], "conflicted", -0.28, 0.5),
        ([3.0, -7.0, 0.0], "conflicted", 0.0, 0.5),  # 0.7 * (0.3 * -7 + 0.7 * 3) = 0 and not constant
        ([1.0] * 5 + [1.31] * 5, "drifting", 1.31, 1.0),
        ([1.0] * 5 + [1.29] * 5, "stable", 1.29, 1.0),
        ([0.0] * 5 + [0.31] * 5, "drifting", 0.31, 1.0),  # mean before = 0: denominator 1
        ([0.0] * 5 + [0.29] * 5, "stable", 0.29, 1.0),
        ([-1.0] * 5 + [-0.69] * 5, "drifting", -0.69, 1.0),
        ([9.0] + [1.0] * 5, "drifting", 1.0, 1.0),  # an older window of one
        ([9.0] * 5 + [1.0] * 10, "stable", 1.0, 1.0),  # beyond ten, nothing counts
    ],
)
def test_numbers(policy, numbers, state, value, confidence):
    said = merge_numeric(numbers, policy.document.attribution)
    assert said == (state, pytest.approx(value, abs=1e-12), pytest.approx(confidence, abs=1e-12))


def test_a_shift_of_just_the_threshold_is_drifting(make_policy):
    # Powers of two, so that the shift is exactly 0.25 and the means are exact.
    numeric = {"alpha": 0.5, "conflicted_above": 1.0, "conflicted_confidence": 0.5, "drifting_from": 0.25}
    rules = make_policy(numeric=numeric).document.attribution
    assert merge_numeric([4.0] * 5 + [5.0] * 5, rules)[0] == "drifting"
    assert merge_numeric([4.0] * 5 + [math.nextafter(5.0, 0.0)] * 5, rules)[0] == "stable"


def test_a_variation_of_just_the_threshold_is_not_yet_conflicted(make_policy):
    # alpha 1: the mean is the last value, 4; deviations 8, 0, 0, 0: spread sqrt(64 / 4) = 4, variation exactly 1.
    numeric = {"alpha": 1.0, "conflicted_above": 1.0, "conflicted_confidence": 0.5, "drifting_from": 0.3}
    rules = make_policy(numeric=numeric).document.attribution
    assert merge_numeric([12.0, 4.0, 4.0, 4.0], rules) == ("stable", 4.0, 0.0)
    assert merge_numeric([math.nextafter(12.0, 13.0), 4.0, 4.0, 4.0], rules) == ("conflicted", 4.0, 0.5)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10))
@settings(max_examples=examples(120), deadline=None)
def test_no_finite_numbers_however_large_or_small_give_nan_or_infinity(policy, numbers):
    _, value, confidence = merge_numeric(numbers, policy.document.attribution)
    assert math.isfinite(value)
    assert 0.0 <= confidence <= 1.0


@given(
    st.lists(st.sampled_from([float_info.max, -float_info.max, math.nextafter(float_info.max, 0.0)]), min_size=2),
    st.floats(0.0, 1.0, exclude_min=True),
)
@settings(max_examples=examples(120), deadline=None)
def test_the_weighted_mean_of_the_largest_doubles_is_finite_for_any_alpha(numbers, alpha):
    assert math.isfinite(weighted_mean(numbers, alpha))


@pytest.mark.parametrize("largest", [float_info.max, -float_info.max, 1e200, 5e-324, 1e-200])
def test_constant_numbers_at_the_ends_of_the_doubles_are_stable(policy, largest):
    state, value, confidence = merge_numeric([largest] * 10, policy.document.attribution)
    assert (state, value) == ("stable", pytest.approx(largest))
    # 5e-324 is the least double there is: its weighted mean rounds to 0 or itself.
    assert confidence == pytest.approx(1.0)


def test_numbers_whose_squares_underflow_still_have_a_spread(policy):
    assert merge_numeric([1e-200, -1e-200, 1e-200], policy.document.attribution)[0] == "conflicted"
    near = merge_numeric([1e200, 1.1e200, 1e200], policy.document.attribution)
    alike = merge_numeric([1.0, 1.1, 1.0], policy.document.attribution)
    assert near[0] == alike[0] == "stable"
    assert near[2] == pytest.approx(alike[2])


def test_the_weighted_mean_starts_at_the_oldest_and_weighs_the_newest_by_alpha():
    assert weighted_mean([0.0, 10.0], 0.3) == 3.0
    assert weighted_mean([10.0, 0.0], 0.3) == 7.0


@pytest.mark.parametrize(
    ("count", "state", "confidence"),
    [(1, "stable", 1.0), (2, "drifting", 1 / 2), (3, "drifting", 1 / 3), (4, "conflicted", 1 / 4)],
)
def test_hashes(policy, count, state, confidence):
    hashes = [f"h{n}" for n in range(count)]
    assert merge_hash(hashes, policy.document.attribution.hash) == (state, hashes[-1], confidence)


def test_a_hash_just_24_hours_old_counts_and_an_older_one_does_not(policy, observe, fold):
    start = 1_714_000_000.0
    for later, state in [(start + DAY, "drifting"), (math.nextafter(start + DAY, math.inf), "stable")]:
        run = fold(policy, [observe("h1", start, "a", "hash"), observe("h2", later, "b", "hash")])
        assert run.last["state"] == state
        assert run.last["current_value"] == "h2"


def test_a_hash_on_the_edge_stays_when_an_older_one_leaves(policy, observe, fold):
    times = [("h1", 1.0), ("h2", 2.0), ("h3", DAY + 2.0)]
    run = fold(policy, [observe(value, ts, f"o{n}", "hash") for n, (value, ts) in enumerate(times)])
    assert (run.last["state"], run.last["confidence"]) == ("drifting", 0.5)  # h2 and h3


def test_a_hash_seen_again_counts_from_its_latest_time(policy, observe, fold):
    times = [("h1", 0.0), ("h2", 10.0), ("h1", DAY), ("h3", DAY + 11.0)]
    run = fold(policy, [observe(value, ts, f"o{n}", "hash") for n, (value, ts) in enumerate(times)])
    assert (run.last["state"], run.last["confidence"]) == ("drifting", 0.5)  # h2 has left, h1 has not
