"""What reflection keeps of a subject, and how words are compared, exactly at the bounds."""

from types import SimpleNamespace

import pytest

from endocrine.agents._shared.memories import content_digest
from endocrine.agents.reflection.known import EMPTY, after_candidate, after_event, bounded, drop_reason, is_capped
from endocrine.agents.reflection.matcher import agrees, stem, stems, tokens

RULES = SimpleNamespace(active=2, candidates=2, settled=2, least_chars=3, stems=8)


def event(memory_id, new, old=None, content=None):
    """A memory took this status; its content is its id unless another is given."""
    text = content or f"content {memory_id}"
    return SimpleNamespace(memory_id=memory_id, type="fact", content=text, old_status=old, new_status=new)


def digest(memory_id):
    return content_digest("fact", f"content {memory_id}")


def after(*events, state=EMPTY):
    for one in events:
        state = after_event(state, one, RULES)
    return state


def test_the_queue_is_full_at_its_bound_and_what_is_beyond_it_counts():
    one = after_candidate(EMPTY, "a", "1")
    assert drop_reason(one, "new", RULES) is None
    assert drop_reason(after_candidate(one, "b", "2"), "new", RULES) == "queue_full"
    assert drop_reason({**one, "queued_beyond": 1}, "new", RULES) == "queue_full"


@pytest.mark.parametrize("more", [{"beyond": 1}, {"queued_beyond": 1}, {"forgotten": True}])
def test_whatever_is_not_kept_makes_a_subject_capped(more):
    assert not is_capped(EMPTY)
    assert is_capped({**EMPTY, **more})


def test_a_bound_that_is_just_reached_moves_nothing_out_and_one_more_does():
    full = after(event("a", "active"), event("b", "active"))
    assert (list(full["active"]), full["beyond"], full["settled"]) == (["a", "b"], 0, {})
    over = after(event("c", "active"), state=full)
    assert (list(over["active"]), over["beyond"], over["settled"]) == (["b", "c"], 1, {digest("a"): "active"})


def test_an_active_memory_beyond_the_bound_that_ends_is_counted_down_and_its_digest_is_out():
    over = after(event("a", "active"), event("b", "active"), event("c", "active"))
    ended = after(event("a", "superseded", old="active"), state=over)
    assert (ended["beyond"], ended["settled"]) == (0, {})
    assert after(event("a", "superseded", old="active"), state=ended)["beyond"] == 0


def test_the_end_of_one_memory_leaves_the_rejection_of_another_with_the_same_words():
    rejected = after(event("a", "invalid", content="same"))
    ended = after(event("b", "superseded", old="active", content="same"), state=rejected)
    assert drop_reason(ended, content_digest("fact", "same"), RULES) == "rejected_before"


def test_a_rejected_content_that_becomes_active_is_known_and_no_longer_rejected():
    state = after(event("a", "invalid", content="same"), event("b", "active", content="same"))
    assert state["settled"] == {}
    assert drop_reason(state, content_digest("fact", "same"), RULES) == "known"


def test_that_something_was_forgotten_stays_so():
    state = after(*(event(name, "invalid") for name in "abc"))
    assert (list(state["settled"]), state["forgotten"]) == ([digest("b"), digest("c")], True)
    assert after(event("c", "invalid"), state=state)["forgotten"] is True
    assert bounded(state, RULES)["forgotten"] is True


def test_bounds_that_shrank_cut_the_oldest_of_everything():
    state = after(event("a", "active"), event("b", "active"), event("c", "candidate"), event("d", "candidate"))
    assert bounded(state, RULES) == state
    cut = bounded(state, SimpleNamespace(active=1, candidates=1, settled=2))
    assert (list(cut["active"]), cut["beyond"], list(cut["queue"]), cut["queued_beyond"]) == (["b"], 1, ["d"], 1)
    assert cut["settled"] == {digest("a"): "active"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [("adding", "add"), ("being", "being"), ("added", "ad"), ("used", "used"), ("wiped", "wip"), ("bed", "bed"),
     ("bugs", "bug"), ("its", "its")],
)  # fmt: skip
def test_an_ending_is_cut_from_words_that_are_long_enough(word, expected):
    assert stem(word) == expected


def test_words_of_three_letters_count_and_shorter_ones_do_not():
    assert tokens("ci cat") == {"cat"}


def test_a_share_that_is_just_reached_agrees():
    assert agrees(7, 10, 0.7)
    assert not agrees(69, 100, 0.7)


def test_a_content_of_just_enough_characters_is_matched():
    assert stems("cat", least_chars=3, most=8) is not None
    assert stems("cat", least_chars=4, most=8) is None
