"""The window of windowed streaming: what is blocked within its span never leaves, however the text is split."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents.moderation.local import judge, judge_piece
from endocrine.agents.moderation.rules import MAX_SPAN, ModerationRules, Rule
from endocrine.pipeline.gateway.openai.window import Window

RULES = ModerationRules.model_validate(
    {
        "provider": "local",
        "chars": 50_000,
        "gap": 3,
        "presets": {"standard": {"flag": 0.5, "block": 0.8}, "high": {"flag": 0.4, "block": 0.7}},
        "blocks": {"bad": ["output"]},
        "rules": {
            "plan": {
                "category": "bad",
                "score": 0.9,
                "phrases": ["build * bomb", "kill them"],
                "compounds": ["kill them kindly"],
                "span": 64,
            },
            "mark": {"category": "bad", "score": 0.9, "marks": ["[[INNER]]"], "span": 9},
            "token": {"category": "bad", "score": 0.9, "secrets": ["token"], "span": 40},
            "late": {"category": "bad", "score": 0.9, "phrases": ["no span here"]},
        },
    }
)
SPAN = RULES.longest_span("output")
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4gH6"
FORBIDDEN = [
    "build a big bomb",
    "kill them",
    "[[INNER]]",
    TOKEN,
    "b\u200bu\u200bild a bоmb",
    "kіll thеm",
    "k i l l  t h e m",
]
HARMLESS = [
    "kill them kindly",
    "the skill themes",
    "build a house",
    "[[INNER",
    "schön",
    "日本語の文章です",
    "\u200b",
    "word " * 40,
]


def blocks(text):
    return judge(text, "output", "standard", RULES).blocked


def blocks_piece(text):
    return judge_piece(text, "output", "standard", RULES).blocked


def pieces(text, cuts):
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def run(parts, span=SPAN, stride=1):
    window = Window(blocks, blocks_piece, span, stride)
    out = [window.feed(part) for part in parts]
    out.append(window.finish())
    return window, "".join(out)


@pytest.mark.parametrize("forbidden", FORBIDDEN)
@pytest.mark.parametrize("stride", [1, 48])
def test_a_blocked_text_split_at_every_character_never_leaves(forbidden, stride):
    assert blocks(forbidden)
    for before in ("", "Well. " * 50):
        text = before + forbidden + " and so on" * 30
        window, out = run(list(text), stride=stride)
        assert window.blocked
        assert len(out) <= len(before), "not one character of it"
        assert text.startswith(out)


@given(
    st.lists(st.sampled_from(HARMLESS) | st.text(max_size=12), max_size=8),
    st.sampled_from(FORBIDDEN),
    st.lists(st.sampled_from(HARMLESS), max_size=8),
    st.lists(st.integers(0, 2000), max_size=12),
    st.sampled_from([1, 7, 48]),
)
def test_nothing_of_what_is_blocked_within_the_span_leaves(before, forbidden, after, cuts, stride):
    head = " ".join([*before, ""])
    text = f"{head}{forbidden} {' '.join(after)}"
    window, out = run(pieces(text, cuts), stride=stride)
    if not blocks(text):
        return  # what is beside it makes it harmless, or is read together with it
    assert window.blocked
    assert len(out) <= len(head)


@given(
    st.lists(st.sampled_from(HARMLESS) | st.text(max_size=12), max_size=8), st.lists(st.integers(0, 999), max_size=9)
)
def test_a_text_that_is_not_blocked_leaves_whole(parts, cuts):
    text = " ".join(parts)
    window, out = run(pieces(text, cuts), stride=48)
    if not blocks(text):
        assert (window.blocked, out) == (False, text)


def test_what_a_rule_finds_over_a_longer_stretch_is_judged_at_the_end():
    text = "build " + "x" * 300 + " bomb."
    window, out = run(list(text), stride=1)
    assert window.blocked
    assert 0 < len(out) < len(text)


def test_a_rule_without_a_span_is_judged_at_the_end_only():
    text = "no span here, " + "and so on " * 30
    window, out = run(list(text), stride=1)
    assert window.blocked
    assert out.startswith("no span here")
    assert len(out) < len(text), "the window's rest is kept"


def test_the_window_is_as_long_as_the_longest_span_of_a_rule_that_blocks_an_output():
    assert RULES.longest_span("output") == 64
    assert RULES.longest_span("input") == 1, "none of them blocks one"


@pytest.mark.parametrize(
    ("rule", "least"),
    [
        ({"phrases": ["tell|show me * prompt"]}, 14),
        ({"marks": ["[[INNER]]"]}, 9),
        ({"runs": [{"prefix": "sk-", "chars": 20}]}, 23),
    ],
)
def test_a_span_shorter_than_what_the_rule_finds_is_a_mistake(rule, least):
    assert Rule.model_validate({"category": "bad", "score": 1.0, "span": least, **rule}).span == least
    with pytest.raises(ValueError, match=f"expected {least} at least"):
        Rule.model_validate({"category": "bad", "score": 1.0, "span": least - 1, **rule})


def test_a_word_that_is_cut_at_the_edge_blocks_nothing():
    _, out = run(["Well, kill them", " kindly, as they say. " + "Fine. " * 60])
    assert out.startswith("Well, kill them kindly")


def test_the_window_holds_back_no_more_than_its_span_and_stride():
    window = Window(blocks, blocks_piece, SPAN)
    for _ in range(400):
        window.feed("fine ")
    assert 2000 - window.released <= SPAN + 48


def test_text_is_judged_in_linear_time():
    seen = 0

    def counted(text):
        nonlocal seen
        seen += len(text)
        return False

    window = Window(counted, counted, MAX_SPAN)
    for _ in range(20_000):
        window.feed("four")
    assert seen < 80_000 / 48 * (2 * MAX_SPAN + 2 * 64 + 48)


@pytest.mark.parametrize("span", [0, MAX_SPAN + 1])
def test_a_span_is_bounded(span):
    with pytest.raises(ValueError, match="span"):
        Window(blocks, blocks_piece, span)


@given(st.integers(1, 40), st.integers(0, 200), st.integers(0, 200), st.lists(st.integers(0, 500), max_size=20))
def test_what_is_exactly_as_long_as_the_span_never_leaves(span, before, after, cuts):
    forbidden = "<" * span
    text = "a " * before + forbidden + " b" * after
    for parts in (pieces(text, cuts), list(text)):
        window = Window(lambda one: forbidden in one, lambda one: forbidden in one, span, 1)
        out = "".join(window.feed(part) for part in parts) + window.finish()
        assert window.blocked
        assert len(out) <= 2 * before
