"""What is no turn, and what is cut."""

import pytest

from endocrine.agents.capture.filters import cut_response, skip_reason


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("fourteen chars", "short"),
        ("fifteen chars!!", None),
        ("   yes please    \n\n", "short"),
        ("", "short"),
        ("/compact and keep the plan in mind", "slash_command"),
        ("/model", "slash_command"),
        ("/etc/hosts is empty, what shall I do?", None),
        ("/ is the root directory, is it not?", None),
        ("<command-name>/clear</command-name>", "meta"),
        ("  <system-reminder>do this</system-reminder>", "meta"),
        ("Is 3 < 4 in all orders?", None),
    ],
)
def test_prompts_are_skipped_for_one_reason(rules, prompt, reason):
    assert skip_reason(prompt, rules.capture) == reason


def test_a_message_marked_meta_is_skipped_as_meta_whatever_it_says(rules):
    assert skip_reason("A perfectly ordinary prompt.", rules.capture, marked_meta=True) == "meta"


def test_a_response_is_cut_only_above_50000_characters(rules):
    whole = "é" * 50_000
    assert cut_response(whole, rules.capture) == whole
    assert cut_response(whole + "x", rules.capture) == whole + "\n\n[truncated]"
