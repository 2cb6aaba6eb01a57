"""Memory by consensus: opinions make the strength of a memory, and a lower version never overwrites."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents._shared.memories import memory_id
from endocrine.agents.memory.consensus import EMPTY, tally, with_opinion
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.schemas.memory import MemoryOpinion
from properties import examples

RULES = shipped_policy().document.memory.consensus
OLD = memory_id("ann", "42")


def vote(minds, made, opinion, confidence, by, **more):
    held = {"opinion": opinion, "confidence": confidence, "by": by}
    return minds.feed("opinions", subject="ann", memory_id=made, **held, **more)


def taken(minds, **given):
    told = {"memory_id": OLD, "type": "knowledge", "content": "the pad is steel", "status": "active", "version": 1}
    told |= {"confidence": 0.5, "store": "older", "origin": "42", "created_ts": 1.0}
    return minds.command("memory_import", **(told | given))


@pytest.mark.parametrize(
    ("votes", "strength"),
    [
        ([("for", 0.8)], 0.85),
        ([("for", 1.0)], 0.9),
        ([("for", 0.0)], 0.65),
        ([("against", 1.0)], 0.4),
        ([("against", 0.8)], 0.45),
        ([("for", 0.8), ("against", 0.6)], 0.675),
        ([("for", 1.0), ("for", 1.0), ("against", 1.0)], 0.733333),
    ],
)
def test_the_strength_is_what_the_formula_gives_for_the_last_opinion_of_each_voter(minds, votes, strength):
    made = minds.create()
    for number, (opinion, confidence) in enumerate(votes):
        found = vote(minds, made, opinion, confidence, f"voter-{number}")
    (event,) = found["memory-events"]
    assert (event["kind"], event["strength"], event["votes_total"]) == ("voted", strength, len(votes))
    assert event["votes_for"] == sum(opinion == "for" for opinion, _ in votes)
    assert (minds.memories[made]["strength"], minds.memories[made]["version"]) == (strength, 1 + len(votes))


def test_the_strength_stays_within_the_bounds_of_the_policy(minds_with):
    minds = minds_with(memory={"consensus.base": 0.0, "consensus.span": 0.5})
    made = minds.create()
    vote(minds, made, "against", 1.0, "ann")
    assert minds.memories[made]["strength"] == 0.1
    minds = minds_with(memory={"consensus.base": 0.9})
    made = minds.create()
    vote(minds, made, "for", 1.0, "ann")
    assert minds.memories[made]["strength"] == 1.0


def test_a_voter_counts_once_and_the_same_opinion_again_says_nothing(minds):
    made = minds.create()
    vote(minds, made, "for", 0.8, "ann")
    before = minds.memories[made]
    assert vote(minds, made, "for", 0.8, "ann") == {}
    assert minds.memories[made] == before
    (event,) = vote(minds, made, "against", 0.8, "ann")["memory-events"]
    assert (event["votes_for"], event["votes_total"]) == (0, 1)


def test_an_opinion_that_comes_late_replaces_no_later_one(minds):
    made = minds.create()
    vote(minds, made, "for", 0.8, "ann", ts=50.0)
    vote(minds, made, "for", 0.8, "ann", ts=70.0)
    assert vote(minds, made, "against", 1.0, "ann", ts=60.0) == {}
    assert minds.memories[made]["strength"] == 0.85


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["for", "against"]), st.floats(0, 1), st.sampled_from("abcd")),
        max_size=5,
    )
)
def test_opinions_count_alike_whatever_the_order_they_come_in(told):
    rules = RULES.model_copy(update={"voters": 3})
    votes = [
        MemoryOpinion(subject="ann", memory_id=OLD, opinion=opinion, confidence=sure, by=by, ts=float(ts))
        for ts, (opinion, sure, by) in enumerate(told)
    ]
    results = set()
    for order in itertools.permutations(votes):
        opinions = EMPTY
        for one in order:
            opinions = with_opinion(opinions, one, rules)
        assert len(opinions["voters"]) <= 3
        found = tally(opinions["voters"], rules)
        assert RULES.least <= found.strength <= RULES.most
        results.add((found, tuple(opinions["voters"])))
    assert len(results) == 1


def test_of_more_voters_than_are_kept_the_oldest_opinion_is_out_and_the_event_says_so(minds_with):
    minds = minds_with(memory={"consensus.voters": 2})
    made = minds.create()
    for by in ("ann", "bob"):
        vote(minds, made, "against", 1.0, by)
    (event,) = vote(minds, made, "for", 1.0, "max")["memory-events"]
    assert (event["votes_for"], event["votes_total"], event["capped"]) == (1, 2, True)


def test_opinions_change_neither_status_nor_confidence_and_not_what_is_settled(minds):
    made = minds.create(status="candidate", confidence=0.3)
    for number in range(5):
        vote(minds, made, "for", 1.0, f"voter-{number}")
    memory = minds.memories[made]
    assert (memory["status"], memory["confidence"], memory["strength"]) == ("candidate", 0.3, 0.9)
    minds.command("memory_reject", memory_id=made)
    assert minds.refusal(vote(minds, made, "for", 1.0, "late")) == "wrong_status"
    assert minds.refusal(vote(minds, memory_id("ann", "none"), "for", 1.0, "ann")) == "unknown_memory"


def test_an_update_of_an_older_version_is_refused(minds):
    made = minds.create()
    vote(minds, made, "for", 1.0, "ann")
    late = minds.command("memory_update", memory_id=made, content="something else entirely", version=1)
    assert minds.refusal(late) == "older_version"
    minds.command("memory_update", memory_id=made, content="something else entirely", version=2)
    assert minds.memories[made]["version"] == 3


def test_a_memory_of_an_older_store_is_taken_over_with_its_version(minds):
    taken(minds, version=7, strength=0.6)
    memory = minds.memories[OLD]
    assert (memory["version"], memory["strength"], memory["created_ts"]) == (7, 0.6, 1.0)
    assert memory["source"]["kind"] == "import"
    assert (memory["source"]["exporter"], memory["source"]["artifact"]) == ("older", "42")
    assert taken(minds, version=7, strength=0.6) == {}


def test_a_lower_version_never_overwrites_and_an_equal_one_does(minds):
    taken(minds, version=3)
    assert minds.refusal(taken(minds, version=2, content="older words of it")) == "older_version"
    taken(minds, version=3, content="other words of it")
    assert (minds.memories[OLD]["content"], minds.memories[OLD]["version"]) == ("other words of it", 3)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_imports_end_alike_whatever_the_order_they_come_in(minds, order):
    for version in order:
        taken(minds, version=version, content=f"words of version {version}")
    assert (minds.memories[OLD]["content"], minds.memories[OLD]["version"]) == ("words of version 3", 3)


@pytest.mark.parametrize(
    ("here", "there", "refusal"),
    [
        ("candidate", "active", "wrong_status"),
        ("invalid", "active", "wrong_status"),
        ("superseded", "candidate", "wrong_status"),
        ("active", "superseded", None),
        ("active", "invalid", None),
        ("candidate", "invalid", None),
    ],
)
def test_an_import_promotes_nothing_and_brings_nothing_back(minds, here, there, refusal):
    taken(minds, status=here)
    found = taken(minds, status=there, version=2)
    if refusal is not None:
        assert minds.refusal(found) == refusal
    assert minds.status(OLD) == (here if refusal else there)


def test_an_import_of_another_type_or_slot_is_another_memory(minds):
    taken(minds)
    assert minds.refusal(taken(minds, type="project", version=2)) == "other_memory"
    assert minds.refusal(taken(minds, slot="pad", version=2)) == "other_memory"


def test_an_imported_memory_takes_part_in_conflicts_and_is_reinforced(minds):
    minds.create("pad: PEEK", slot="pad", type="knowledge")
    taken(minds, content="pad: steel and nothing else", slot="pad")
    assert minds.conflicts["ann/pad"]["status"] == "open"
    minds.turn("The pad: steel and nothing else.")
    assert minds.memories[OLD]["reference_count"] == 1
