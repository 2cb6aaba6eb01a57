"""What is extracted from an answer, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from endocrine.agents.memory.rules import ExtractionRule
from endocrine.agents.reflection.extraction import Extracted, belongs, extract
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

RULES = shipped_policy().document.memory.extraction


def found(text):
    return [(one.type, one.content, one.slot) for one in extract(text, RULES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Decision: use GF-PTFE pads", ("adaptation", "use GF-PTFE pads", None)),
        ("###### decision: use GF-PTFE pads  ", ("adaptation", "use GF-PTFE pads", None)),
        ("# Constraint: at most 40 degrees", ("project", "at most 40 degrees", None)),
        ("# Requirement: runs without a network", ("project", "runs without a network", None)),
        ("# Fact: the pad is 2 mm thick", ("knowledge", "the pad is 2 mm thick", None)),
        ("## Decision: pad_material: GF-PTFE", ("adaptation", "pad_material: GF-PTFE", "pad_material")),
        ("I prefer tabs over spaces.", ("preference", "tabs over spaces", None)),
        ("Thanks. We strongly prefer small commits! Bye.", ("preference", "small commits", None)),
        ("we always prefer small commits", ("preference", "small commits", None)),
        ("Well. WE HAVE DECIDED TO SHIP ON MONDAY? Yes.", ("adaptation", "SHIP ON MONDAY", None)),
        ("I decided to ship on Monday!", ("adaptation", "ship on Monday", None)),
        ("The requirement is that it runs offline.", ("project", "it runs offline", None)),
        ("the requirement is offline running", ("project", "offline running", None)),
        ("I prefer node.js over anything else", ("preference", "node.js over anything else", None)),
    ],
)
def test_a_form_is_extracted(text, expected):
    assert found(f"Some words.\n{text}\r\nMore words.") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "## Decision: too short",
        "####### Decision: seven signs are no heading",
        "##Decision: no blank is no heading",
        "Decision: use GF-PTFE pads",
        "## I prefer tabs over spaces",
        "Yes! I prefer tabs over spaces",  # a sentence begins a line or comes after `. `
        "So I prefer tabs over spaces",
        "I would prefer tabs over spaces",
        "I prefer tea. Over coffee",
        "```\n## Decision: use GF-PTFE pads\n```",
        "~~~~\n## Decision: use GF-PTFE pads\n~~~\n## Decision: use GF-PTFE pads\n~~~~",
        "```python\n## Decision: use GF-PTFE pads",
        "## Decision: " + 2001 * "x",
    ],
)
def test_another_form_is_not(text):
    assert found(text) == []


def test_the_lengths_of_what_is_extracted_are_inclusive():
    assert found("## Decision: 12 character") == [("adaptation", "12 character", None)]
    assert found("## Decision: " + 2000 * "x") == [("adaptation", 2000 * "x", None)]


def test_the_first_match_of_a_line_is_used_and_code_ends_at_its_fence():
    text = "I prefer tabs over spaces. We decided to ship on Monday.\n````\nx\n```\ny\n````\n## Fact: the pad is thick"
    assert found(text) == [("preference", "tabs over spaces", None), ("knowledge", "the pad is thick", None)]


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("pad_material: GF-PTFE", "pad_material"),
        ("pad.material-2: GF-PTFE", "pad.material-2"),
        ("https://example.org/pads", None),
        ("Pad material: GF-PTFE", None),
        ("Pad_material: GF-PTFE", None),
        ("x" * 65 + ": GF-PTFE", None),
    ],
)
def test_a_name_before_a_colon_in_a_heading_is_the_slot(text, slot):
    assert extract(f"## Decision: {text}", RULES) == [Extracted("decision_heading", "adaptation", text, slot)]


def test_a_sentence_sets_no_slot():
    assert found("I prefer editor: emacs") == [("preference", "editor: emacs", None)]


@pytest.mark.parametrize(
    ("type_", "project", "other", "expected"),
    [
        ("preference", False, True, True),
        ("preference", True, True, False),
        ("identity", True, True, False),
        ("adaptation", False, True, False),
        ("adaptation", True, True, True),
        ("adaptation", False, False, True),
        ("preference", False, False, True),
    ],
)
def test_personal_types_are_the_identitys_and_others_the_projects_where_there_is_one(type_, project, other, expected):
    assert belongs(type_, project=project, other=other, rules=RULES) is expected


@settings(max_examples=examples(80))
@given(
    st.lists(
        st.sampled_from(["I prefer ", "## Fact: ", ". ", "! ", "```", "\n", "tabs over spaces", "é", "\r"]), max_size=30
    )
)
def test_any_text_is_read_and_what_is_found_is_in_it(parts):
    text = "".join(parts)
    for one in extract(text, RULES):
        assert one.content in text
        assert RULES.least_chars <= len(one.content) <= RULES.most_chars


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [(r"(a)\1", "cannot be run in linear time"), ("decision", "has no group")],
)
def test_a_rule_that_cannot_be_run_is_refused_by_name(pattern, wrong):
    with pytest.raises(ValidationError, match=f"rule 'mine'.*{wrong}"):
        ExtractionRule(name="mine", where="heading", pattern=pattern, type="knowledge")
