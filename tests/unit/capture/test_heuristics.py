"""What a prompt's wording says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from endocrine.agents.capture.heuristics import signals_of
from endocrine.agents.capture.patterns import compile_words
from endocrine.agents.capture.rules import HeuristicRules
from properties import examples

NAMES = ["ambiguity", "urgency", "novelty", "trust"]


def test_the_heuristics_are_on_for_live_turns_as_shipped(rules):
    assert rules.live is True


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("List the capitals of the five Nordic countries.", []),
        ("Maybe make something nicer here with some stuff, not sure what.", [("ambiguity", 0.9)]),
        ("URGENT: production is down, roll back now", [("urgency", 1.0)]),
        ("This is not urgent, but could you look at the build?", [("trust", 0.1)]),
        ("Imagine a museum of forgotten sounds.", [("novelty", 0.3)]),
        ("Use the same wording as before, it is the standard form for letters.", []),
        ("Thank you, that worked. What is the next step?", [("trust", 0.55)]),
        ("That is wrong, thanks for nothing of use to me.", []),
        ("I don\u2019t know which file this belongs to, src or lib", [("ambiguity", 0.35)]),
    ],
)
def test_shipped_levels(rules, prompt, expected):
    assert signals_of(prompt, rules) == expected


def test_levels_add_up_per_count_and_no_further_than_at_most(rules_with):
    rules = rules_with(urgency=[{"name": "now", "weight": 0.2, "at_most": 2, "words": ["now"]}])
    found = [signals_of(" ".join(["now"] * times), rules) for times in range(4)]
    assert found == [[], [("urgency", 0.2)], [("urgency", 0.4)], [("urgency", 0.4)]]


def test_a_level_below_the_least_reported_is_no_signal(rules_with):
    assert signals_of("now", rules_with(urgency=[{"name": "now", "weight": 0.09, "words": ["now"]}])) == []
    assert signals_of("now", rules_with(urgency=[{"name": "now", "weight": 0.1, "words": ["now"]}]))


def test_fenced_code_says_nothing(rules):
    assert signals_of("What does this line print to the screen?\n```\nURGENT or maybe!!! asap\n```", rules) == []


def test_words_match_whole_and_in_any_case_and_over_line_ends(rules_with):
    rules = rules_with(urgency=[{"name": "x", "weight": 0.5, "at_most": 9, "words": ["right now", "or"]}])
    assert signals_of("Right\n NOW", rules) == [("urgency", 0.5)]
    assert signals_of("brighter nowhere before orange", rules) == []


def test_only_the_beginning_of_a_prompt_is_read(rules_with):
    rules = rules_with(scan_chars=10, urgency=[{"name": "now", "weight": 0.5, "words": ["now"]}])
    assert signals_of("x" * 5 + " now", rules) == [("urgency", 0.5)]
    assert signals_of("x" * 20 + " now", rules) == []


@settings(max_examples=examples(100), deadline=None)
@given(
    prompt=st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                ["maybe", "URGENT", "asap", "!", "?", "imagine", "thanks", "wrong", "or", "```", "\n", "no rush"]
            )
        ).map(" ".join),
    )
)
def test_levels_lie_in_their_bounds_in_order_and_are_the_same_again(rules, prompt):
    found = signals_of(prompt, rules)
    assert found == signals_of(prompt, rules)
    assert [name for name, _ in found] == [name for name in NAMES if name in dict(found)]
    assert all(rules.report_from <= level <= 1 and round(level, 2) == level for _, level in found)


@pytest.mark.parametrize(
    "cue",
    [
        {"name": "none of the kinds", "weight": 0.1},
        {"name": "two kinds", "weight": 0.1, "words": ["a"], "marks": ["!"]},
        {"name": "nothing listed", "weight": 0.1, "words": []},
        {"name": "too heavy", "weight": 1.5, "words": ["a"]},
        {"name": "misspelt", "weight": 0.1, "word": ["a"]},
        {"name": "not a list", "weight": 0.1, "words": "asap"},
    ],
)
def test_a_cue_that_is_not_one_is_refused(rules, cue):
    with pytest.raises(ValidationError):
        HeuristicRules.model_validate({**rules.model_dump(mode="json"), "urgency": [cue]})


def test_the_rules_survive_their_way_through_json(rules):
    assert HeuristicRules.model_validate(rules.model_dump(mode="json")) == rules


def test_of_phrases_that_begin_alike_the_longest_is_counted():
    count = compile_words(["sort", "sort of", "of a kind", "x y", "x  y z"])
    assert count("sort of a kind") == 1
    assert count("Sort, of a  kind") == 2
    assert count("x y z") == 1
    assert count("resort sorts") == 0
