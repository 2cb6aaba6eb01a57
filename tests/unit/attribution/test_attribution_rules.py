"""Thresholds that cannot work are refused when the policy loads, naming them."""

import pytest
from pydantic import ValidationError

CATEGORICAL = {"majority": 4, "alternating_least": 4, "flips_per_repeat": 2.0, "multi_actor_confidence": 0.6}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"least": 11}, "least is 11"),
        ({"categorical": CATEGORICAL | {"majority": 6}}, "majority is 6"),
        ({"categorical": CATEGORICAL | {"majority": 2}}, "expected more than half"),
        ({"hash": {"window_s": 1.0, "drifting_rotations": 2, "most": 3}}, "most is 3"),
        ({"suspicion": {"least_primitives": 3, "confidence": 0.6, "most": 2}}, "suspicion.most is 2"),
        ({"window": 5.0}, "window"),
        ({"surprise": 1}, "surprise"),
        ({"longest_value": 10}, "longest_value"),
    ],
)
def test_thresholds_that_cannot_work_are_refused(make_policy, changes, named):
    with pytest.raises(ValidationError, match=named.replace(".", r"\.")):
        make_policy(**changes)


def test_the_shipped_thresholds_are_those_of_the_rules(policy):
    assert policy.document.attribution.model_dump() == {
        "window": 5,
        "least": 3,
        "longest_value": 512,
        "categorical": CATEGORICAL,
        "numeric": {"alpha": 0.3, "conflicted_above": 1.0, "conflicted_confidence": 0.5, "drifting_from": 0.3},
        "hash": {"window_s": 86400.0, "drifting_rotations": 2, "most": 32},
        "suspicion": {"least_primitives": 2, "confidence": 0.6, "most": 512},
    }
