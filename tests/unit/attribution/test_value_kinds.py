"""How values of each kind are read, and which are refused (rules 5)."""

import copy

import pytest

from endocrine.agents.attribution.agent import AGENT
from endocrine.agents.contract import Reject


def current(policy, fold, observe, value, kind="x.unregistered"):
    return fold(policy, [observe(value, 1.0, "o1", kind)]).last["current_value"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("steady", "steady"),
        (True, True),
        (False, False),
        (3, 3),
        (2.5, 2.5),
        (["b", "a"], '["b","a"]'),
        ([1, 2.0, 0.00001], "[1,2,0.00001]"),
        ({"b": 1, "a": [None, "é"]}, '{"a":[null,"é"],"b":1}'),
        ([2**60, 2**60 + 1], f"[{2**60},{2**60 + 1}]"),
        ([], "[]"),
    ],
)
def test_what_is_no_number_and_no_hash_is_a_label(policy, fold, observe, value, shown):
    said = current(policy, fold, observe, value)
    assert said == shown
    assert type(said) is type(shown)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1.0, True), ("1", 1), ("true", True), (["1"], [1]), (["a b"], ["a", "b"])],
)
def test_different_json_values_are_different_labels(policy, fold, observe, one, other):
    values = [one, other, one, other]
    run = fold(policy, [observe(value, float(n), f"o{n}", "x.y") for n, value in enumerate(values)])
    assert run.last["state"] == "multi_actor"


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), ([1], [1.0]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_equal_json_values_are_one_label(policy, fold, observe, one, other):
    values = [one, other, one, other]
    run = fold(policy, [observe(value, float(n), f"o{n}", "x.y") for n, value in enumerate(values)])
    assert run.last["state"] == "stable"


@pytest.mark.parametrize(("value"), [5, 5.0])
def test_whole_numbers_of_a_numeric_primitive_are_doubles(policy, fold, observe, value):
    said = current(policy, fold, observe, value, "numeric")
    assert (said, type(said)) == (5.0, float)


@pytest.mark.parametrize(
    ("kind", "value", "got", "expected"),
    [
        ("numeric", True, "a boolean", "a finite number"),
        ("numeric", "12", "a string", "a finite number"),
        ("numeric", [1.0], "an array", "a finite number"),
        ("numeric", {"a": 1}, "an object", "a finite number"),
        ("numeric", 10**400, "beyond double precision", "1.8e308"),
        ("hash", 12, "a number", "a string that is not empty"),
        ("hash", False, "a boolean", "a string that is not empty"),
        ("hash", "", "an empty string", "a string that is not empty"),
        ("hash", ["h"], "an array", "a string that is not empty"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(policy, observe, fold, kind, value, got, expected):
    trigger = observe(1.0 if kind == "numeric" else "h", 1.0, "o1", kind)
    state = fold(policy, [trigger]).state
    before = copy.deepcopy(state)
    wrong = trigger._replace(value={**trigger.value, "value": value})
    with pytest.raises(Reject) as refused:
        AGENT.process(state, wrong, policy)
    assert refused.value.kind == "wrong_value_kind"
    for part in (repr(trigger.value["primitive"]), got, expected):
        assert part in str(refused.value)
    assert state == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused(policy, observe, value):
    for kind in ("numeric", "x.y"):
        trigger = observe(1.0, 1.0, "o1", kind)
        for wrong in (value, {"a": value}, {"a": value, "b": 2**60}):
            with pytest.raises(Reject, match="finite number") as refused:
                AGENT.process(None, trigger._replace(value={**trigger.value, "value": wrong}), policy)
            assert refused.value.kind == "wrong_value_kind"


def test_an_integer_beyond_what_storage_holds_is_kept_as_a_double(policy, fold, observe):
    assert current(policy, fold, observe, 2**70) == float(2**70)


@pytest.mark.parametrize("sign", [1, -1])
def test_integers_are_kept_as_they_are_as_long_as_no_other_one_rounds_to_them(policy, fold, observe, sign):
    exact = current(policy, fold, observe, sign * (2**53 - 1))
    assert type(exact) is int
    assert exact == sign * (2**53 - 1)
    shown = [current(policy, fold, observe, sign * number) for number in (2**53, 2**53 + 1)]
    assert [repr(one) for one in shown] == [repr(sign * 2.0**53)] * 2
