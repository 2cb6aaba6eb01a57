"""The guardian's rules at their edges: how long a run, which modes, which verdicts are verdicts."""

import orjson
import pytest

from endocrine.agents.conversation.guardian import _share_a_run, scores_of, verdict_of


@pytest.mark.parametrize(
    ("one", "other", "length", "shared"),
    [
        ("a b c", "a b c", 3, True),
        ("a b c", "x b c", 2, True),
        ("b c x", "a b c", 2, True),
        ("a b x", "a b y", 3, False),
        ("a x b", "a b", 2, False),
        ("a", "a", 2, False),
        ("", "", 1, False),
    ],
)
def test_a_run_is_shared_from_its_first_to_its_last_place(one, other, length, shared):
    assert _share_a_run(one.split(), other.split(), length) is shared


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (None, None),
        ("[]", None),
        ('{"veto": 1}', None),
        ('{"rules": ["x"]}', None),
        ('{"veto": false, "rules": ["x"]}', []),
        ('{"veto": true}', ["unnamed"]),
        ('{"veto": true, "rules": "x"}', ["unnamed"]),
        ('{"veto": true, "rules": [1, "x", null, "y"]}', ["x", "y"]),
    ],
)
def test_a_verdict_is_an_object_with_a_boolean_veto_and_names_are_texts(content, names):
    assert verdict_of(content) == names


def test_names_of_a_verdict_are_eight_of_sixty_four_characters_at_most():
    content = orjson.dumps({"veto": True, "rules": [f"{n}" + "x" * 80 for n in range(10)]}).decode()
    assert verdict_of(content) == [f"{n}" + "x" * 63 for n in range(8)]


@pytest.mark.parametrize(
    ("score", "taken"), [(0, True), (0.0, True), (1, True), (1.0, True), (-0.01, False), (1.01, False), (True, False)]
)
def test_a_score_lies_between_nought_and_one_both_included(score, taken):
    content = orjson.dumps({"scores": {"hate": score}}).decode()
    assert scores_of(content) == ({"hate": float(score)} if taken else None)


def test_the_name_of_a_category_is_cut_to_sixty_four_characters():
    assert scores_of(orjson.dumps({"scores": {"h" * 80: 0.5}}).decode()) == {"h" * 64: 0.5}


@pytest.mark.parametrize(("mode", "vetoed"), [("balanced", False), ("strict", True)])
def test_a_rule_for_strict_turns_vetoes_in_no_other(talk, mode, vetoed):
    talk.open()
    talk.modulate(mode=mode)
    talk.reply(content="Do it, there is no risk.")
    assert [value["kind"] for value in talk.of("incidents")] == (["guardian_veto"] if vetoed else [])


def test_a_source_is_asked_for_only_in_the_modes_that_are_named(make_talk):
    talk = make_talk(guardian={"cite_modes": ("strict",)})
    talk.open()
    talk.modulate(tools=["retrieval"])
    talk.decide("t1/retrieval")
    talk.result("t1/retrieval", output=[{"source": "guide.md", "text": "short first"}])
    talk.reply(content="The short guide comes first.")
    assert talk.closed[0]["finish"] == "answered"
