"""When an answer agrees with a memory: the published vectors, and what holds for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.reflection.matcher import agrees, digests, matched, stem, stems, tokens
from endocrine.pipeline.process.policy_files import shipped_policy
from properties import examples

RULES = shipped_policy().document.memory
STEMS = {
    "prefers": "prefer",
    "preferred": "prefer",
    "services": "service",
    "processing": "process",
    "process": "proces",
    "class": "clas",
    "added": "ad",
    "booed": "bo",
    "agreed": "agre",
    "during": "dur",
    "rebase-based": "rebase-bas",
    **{word: word for word in ("seed", "used", "red", "bus", "sing", "being")},
}
NATO = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet"]


@pytest.mark.parametrize(("word", "expected"), STEMS.items(), ids=list(STEMS))
def test_a_word_has_the_published_stem(word, expected):
    assert stem(word) == expected


def match(memory, answer):
    """(matched, total, whether it is enough); None where the memory is never matched."""
    kept = stems(memory, least_chars=RULES.least_chars, most=RULES.stems)
    if kept is None:
        return None
    count = matched(kept.digests, digests(answer))
    return count, kept.total, agrees(count, kept.total, RULES.match)


@pytest.mark.parametrize(
    ("memory", "answer", "expected"),
    [
        (
            "prefers rebase-based workflows because history stays linear",
            "I prefer rebase-based workflows because the history stays linear and reviewers have an easier time.",
            (7, 7, True),
        ),
        (
            "preferred structured logging across all backend services",
            "I set up structured logging across all the backend services, which the team prefers for consistency.",
            (7, 7, True),
        ),
        (
            "always uses Python for data processing scripts",
            "The CI pipeline runs on Node.js and deploys to Kubernetes using Helm charts.",
            (0, 6, False),
        ),
        (" ".join(NATO), " ".join(NATO[:7]), (7, 10, True)),
        (" ".join(NATO), " ".join(NATO[:6]), (6, 10, False)),
        ("prefers Python", "I do not prefer Python at all", (2, 2, True)),
        ("likes tea", "She likes tea", None),
        ("the a an and or of to is", "the a an and or of to is", None),
    ],
)
def test_a_memory_matches_as_published(memory, answer, expected):
    assert match(memory, answer) == expected


def test_characters_are_stripped_from_both_ends_of_a_word_only():
    assert tokens("(Helm), 'charts'. node.js [k8s]/ -x- a-b-c `code`") == {
        "helm",
        "chart",
        "node.j",
        "k8s",
        "a-b-c",
        "`code`",
    }


def test_case_and_white_space_do_not_matter():
    assert tokens("Prefers\n\tTABS ") == tokens("prefers tabs") == {"prefer", "tab"}


def test_a_memory_is_long_enough_from_twelve_normalized_characters_on():
    assert stems("abcd  efg hij", least_chars=12, most=9) is not None
    assert stems(" abcd  efg hi ", least_chars=12, most=9) is None


def test_of_many_stems_the_smallest_digests_are_kept_and_the_total_says_so():
    words = [f"word{n}x" for n in range(200)]
    kept = stems(" ".join(words), least_chars=12, most=128)
    assert kept is not None
    assert (len(kept.digests), kept.total) == (128, 200)
    assert kept.digests == sorted(digests(" ".join(words)))[:128]


@settings(max_examples=examples(60))
@given(st.text(max_size=60), st.text(max_size=60))
def test_more_of_an_answer_never_matches_less(memory, more):
    kept = stems(memory, least_chars=1, most=128)
    if kept is not None:
        assert matched(kept.digests, digests(memory)) == kept.total
        assert matched(kept.digests, digests(f"{memory} {more}")) == kept.total
