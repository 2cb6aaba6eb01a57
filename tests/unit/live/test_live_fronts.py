"""Lag and settledness by the journal."""

from types import SimpleNamespace

import pytest

from endocrine.pipeline.views.consumer_lag import ConsumerLag


@pytest.fixture
def fronts():
    return ConsumerLag(
        [
            SimpleNamespace(name="modulation", sources=("interactions", "incidents")),
            SimpleNamespace(name="gating", sources=("interactions",)),
        ]
    )


def entry(agent, partition, *runs):
    return {"agent": agent, "partition": partition, "runs": [list(run) for run in runs]}


def test_lag_counts_what_each_agent_has_still_to_read(fronts):
    fronts.journal(entry("modulation", 0, ("interactions", 0, 3)))
    fronts.journal(entry("gating", 0, ("interactions", 0, 1)))
    assert fronts.lag({("interactions", 0): 3, ("incidents", 0): 2}) == {"modulation": 2, "gating": 2}


def test_all_is_derived_only_when_every_reader_of_a_topic_is_at_its_end(fronts):
    ends = {("interactions", 0): 2}
    fronts.journal(entry("modulation", 0, ("interactions", 0, 2)))
    assert not fronts.settled(ends)
    fronts.journal(entry("gating", 0, ("interactions", 0, 2)))
    assert fronts.settled(ends)


def test_an_outcome_of_another_partition_does_not_count(fronts):
    for agent in ("modulation", "gating"):
        fronts.journal(entry(agent, 1, ("interactions", 0, 2)))
    assert not fronts.settled({("interactions", 0): 2})


def test_a_journal_record_read_late_or_twice_does_not_move_a_front_back(fronts):
    late = entry("gating", 0, ("interactions", 0, 1))
    for one in (entry("gating", 0, ("interactions", 0, 1), ("interactions", 1, 4)), late, late):
        fronts.journal(one)
    assert fronts.lag({("interactions", 0): 5})["gating"] == 0


def test_where_the_journal_was_not_read_the_committed_offset_counts(fronts):
    fronts.floor(("interactions", 0), 7)
    fronts.floor(("interactions", 0), 5)
    assert fronts.lag({("interactions", 0): 9}) == {"modulation": 2, "gating": 2}


def test_a_copy_stays_as_it_was(fronts):
    before = fronts.copy()
    for agent in ("modulation", "gating"):
        fronts.journal(entry(agent, 0, ("interactions", 0, 2)))
    assert fronts.settled({("interactions", 0): 2})
    assert not before.settled({("interactions", 0): 2})
