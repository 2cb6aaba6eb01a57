"""The model of the commit protocol with several batches in flight: it holds, and each part of it is needed."""

import pytest

from commit_model.ablations import ABLATIONS
from commit_model.schedules import attempt, campaign

SCHEDULES = 150
"""`python -m commit_model` runs 10,000."""
ENOUGH = 500
"""Schedules within which every ablation is noticed; the least common one shows in one of twenty."""


def test_schedules_of_the_full_protocol_do_not_fail():
    bad = [(seed, failures) for seed, failures in campaign(SCHEDULES, workers=1) if failures]
    assert not bad, "\n".join(f"python -m commit_model --seed {seed}: {told[:3]}" for seed, told in bad[:5])


@pytest.mark.parametrize("part", ABLATIONS)
def test_taking_one_part_of_the_protocol_away_is_noticed(part):
    noticed = next((seed for seed in range(ENOUGH) if attempt((seed, ABLATIONS[part]))[1]), None)
    assert noticed is not None, f"{ENOUGH} schedules without {part!r}, and none fails: the model is too weak"
