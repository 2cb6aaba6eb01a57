"""Lag and settledness by the journal."""

from types import SimpleNamespace

import pytest

from endocrine.pipeline.views.consumer_lag import ConsumerLag


@pytest.fixture
def consumer_lag():
    return ConsumerLag(
        [
            SimpleNamespace(name="modulation", sources=("interactions", "incidents")),
            SimpleNamespace(name="gating", sources=("interactions",)),
        ]
    )


def entry(agent, partition, *runs):
    return {"agent": agent, "partition": partition, "runs": [list(run) for run in runs]}


def test_lag_counts_what_each_agent_has_still_to_read(consumer_lag):
    consumer_lag.journal(entry("modulation", 0, ("interactions", 0, 3)))
    consumer_lag.journal(entry("gating", 0, ("interactions", 0, 1)))
    assert consumer_lag.lag({("interactions", 0): 3, ("incidents", 0): 2}) == {"modulation": 2, "gating": 2}


def test_all_is_derived_only_when_every_reader_of_a_topic_is_at_its_end(consumer_lag):
    ends = {("interactions", 0): 2}
    consumer_lag.journal(entry("modulation", 0, ("interactions", 0, 2)))
    assert not consumer_lag.settled(ends)
    consumer_lag.journal(entry("gating", 0, ("interactions", 0, 2)))
    assert consumer_lag.settled(ends)


def test_an_outcome_of_another_partition_does_not_count(consumer_lag):
    for agent in ("modulation", "gating"):
        consumer_lag.journal(entry(agent, 1, ("interactions", 0, 2)))
    assert not consumer_lag.settled({("interactions", 0): 2})


def test_a_journal_record_read_late_or_twice_does_not_move_a_front_back(consumer_lag):
    late = entry("gating", 0, ("interactions", 0, 1))
    for one in (entry("gating", 0, ("interactions", 0, 1), ("interactions", 1, 4)), late, late):
        consumer_lag.journal(one)
    assert consumer_lag.lag({("interactions", 0): 5})["gating"] == 0


def test_where_the_journal_was_not_read_the_committed_offset_counts(consumer_lag):
    consumer_lag.at_least(("interactions", 0), 7)
    consumer_lag.at_least(("interactions", 0), 5)
    assert consumer_lag.lag({("interactions", 0): 9}) == {"modulation": 2, "gating": 2}


def test_a_copy_stays_as_it_was(consumer_lag):
    before = consumer_lag.copy()
    for agent in ("modulation", "gating"):
        consumer_lag.journal(entry(agent, 0, ("interactions", 0, 2)))
    assert consumer_lag.settled({("interactions", 0): 2})
    assert not before.settled({("interactions", 0): 2})


def test_what_a_group_committed_counts_for_the_agents_of_its_role_only(consumer_lag):
    consumer_lag.committed(["gating"], ("interactions", 0), 7)
    lag = consumer_lag.lag({("interactions", 0): 10})
    assert (lag["gating"], lag["modulation"]) == (3, 10)
