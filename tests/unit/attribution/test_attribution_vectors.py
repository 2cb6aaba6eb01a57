"""The 400 published series and what they must come to (rules 5)."""

import json
import math
import random
from itertools import pairwise
from pathlib import Path

import pytest

LINES = (Path(__file__).parents[2] / "data" / "attribution-vectors.jsonl").read_text().splitlines()
VECTORS = [json.loads(line) for line in LINES]
WINDOW = 10
TOLERANCE = 1e-9


def agrees(said, expected):
    exact = ("state", "observation_count", "last_observation_ts")
    number = isinstance(expected["current_value"], float)
    same_value = (
        math.isclose(said["current_value"], expected["current_value"], rel_tol=TOLERANCE)
        if number
        else said["current_value"] == expected["current_value"]
        and isinstance(said["current_value"], type(expected["current_value"]))
    )
    return (
        all(said[name] == expected[name] for name in exact)
        and same_value
        and math.isclose(said["confidence"], expected["confidence"], rel_tol=TOLERANCE, abs_tol=1e-12)
    )


def triggers(vector, observe):
    return [observe(o["value"], o["ts"], f"o{i}", vector["kind"]) for i, o in enumerate(vector["observations"])]


def test_there_are_400_series_of_every_merger_and_state():
    assert len(VECTORS) == 400
    assert {vector["kind"] for vector in VECTORS} == {"categorical", "numeric", "hash"}
    assert {vector["expect"]["state"] for vector in VECTORS} == {
        "unknown",
        "stable",
        "drifting",
        "conflicted",
        "multi_actor",
    }


def test_all_series_in_order_agree(policy, observe, fold):
    wrong = [
        (number, said, vector["expect"])
        for number, vector in enumerate(VECTORS)
        if not agrees(said := fold(policy, triggers(vector, observe)).last, vector["expect"])
    ]
    assert wrong == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_series_shuffled_without_limit_agree_on_everything_but_the_time_of_change(policy, observe, fold, seed):
    """What is kept are the last observations by ts, so any order of arrival ends in the same series."""
    wrong = []
    for number, vector in enumerate(VECTORS):
        shuffled = triggers(vector, observe)
        random.Random(seed * 1000 + number).shuffle(shuffled)
        run = fold(policy, shuffled)
        # The last one that arrived may be older than the memory: its state record still describes the whole series.
        if not agrees(run.last, vector["expect"]):
            wrong.append((number, run.last, vector["expect"]))
    assert wrong == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_series_that_the_memory_holds_whole_agree_on_the_time_of_change_too(policy, observe, fold, seed):
    chosen = [v for v in VECTORS if v["kind"] != "hash" and len(v["observations"]) <= WINDOW]
    assert len(chosen) > 100
    for number, vector in enumerate(chosen):
        ordered = triggers(vector, observe)
        shuffled = ordered[:]
        random.Random(seed * 1000 + number).shuffle(shuffled)
        assert fold(policy, shuffled).last == fold(policy, ordered).last


def test_a_state_is_said_after_each_observation_and_a_change_after_each_transition_only(policy, observe, fold):
    for vector in VECTORS:
        run = fold(policy, triggers(vector, observe))
        assert len(run.states) == len(vector["observations"])
        path = ["unknown", *(said["state"] for said in run.states)]
        assert run.path() == [(old, new) for old, new in pairwise(path) if old != new]
