"""Counts of a run, and the summary made of them."""

from endocrine.pipeline.local.live.summary import summary
from endocrine.pipeline.local.live.totals import Totals


def totals_of(*events):
    totals = Totals()
    for event in events:
        totals.apply(event)
    return totals


def test_a_copy_counts_once(make):
    totals = Totals()
    assert totals.apply(make.turn("t1", id="a"))
    assert not totals.apply(make.turn("t1", id="a"))
    assert totals.records["modulations"] == 1


def test_a_turn_counts_under_the_mode_of_its_last_revision(make):
    totals = totals_of(make.turn("t1"), make.turn("t2"), make.turn("t1", revision=1, mode="strict"))
    assert +totals.turns == {"balanced": 1, "strict": 1}
    assert totals.revisions == 1


def test_a_refused_turn_counts_once_whatever_revisions_follow(make):
    refused = [make.turn("t1", revision=number, refusal="rate_limited") for number in (0, 1)]
    assert totals_of(*refused).refused == {"rate_limited": 1}


def test_states_and_bonds_count_as_they_are_now(make):
    totals = totals_of(
        make.state("pace", "unknown"),
        make.state("pace", "stable"),
        make.state("load", "stable"),
        make.bond("ann"),
        make.bond("ann", phase="bonded"),
    )
    assert +totals.states == {"stable": 2}
    assert +totals.bonds == {"bonded": 1}


def test_the_summary_names_every_kind_of_outcome(make):
    totals = totals_of(
        make.turn("t1", mode="strict"),
        make.decision(),
        make.decision(decision="denied", reason="not_in_allowlist", incident_id="i"),
        make.incident("tool_blocked"),
        make.style("eve", locked=True),
        make.change("pace", "unknown", "stable"),
        make.suspicion("pace", "load"),
        make.bond_event("n1 0.0 -> 0.2"),
        make.dead(),
    )
    text = "\n".join(summary(totals, 12, 3.21))
    for said in (
        "records fed          12",
        "1 (1 strict), 0 later revisions",
        "2 (1 allowed, 1 denied not_in_allowlist)",
        "1 (1 tool_blocked)",
        "1, locked: eve",
        "eve: temperature +0.05, top_p 0, memory +0.02, 1 cards",
        "1 transitions, 1 suspicions",
        "1 (1 ulm_spike)",
        "1 (1 feedback malformed)",
        "attribution-changes 2",
        "3.2 s",
    ):
        assert said in text, said


def test_only_the_time_differs_between_equal_runs(make):
    events = [make.turn("t1"), make.bond("ann"), make.style("ann")]
    first, second = (summary(totals_of(*order), 3, seconds) for order, seconds in ((events, 1), (events[::-1], 2)))
    assert [one for one, two in zip(first, second, strict=True) if one != two] == [first[-1]]


def test_memory_of_a_run_without_end_is_bounded(make, monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.local.live.totals.REMEMBERED", 10)
    totals = totals_of(*(make.turn(f"t{number}") for number in range(100)))
    assert totals.turns["balanced"] == 100
    assert len(totals._seen) == len(totals._last) == 10
