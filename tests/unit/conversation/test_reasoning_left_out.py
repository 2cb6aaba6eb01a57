"""Reasoning inside an answer reaches no user; a text about the tags stays what it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents.conversation.reasoning import visible


@pytest.mark.parametrize(
    ("text", "shown", "left_out"),
    [
        ("<think>A sum.</think>\n\nIt is 4.", "It is 4.", 6),
        ("\n <THINK>\nA sum.\n</THINK>It is 4.", "It is 4.", 8),
        ("<thinking>a</thinking><think>b</think>It is 4.", "It is 4.", 2),
        ("[THINK]a[/THINK]It is 4.", "It is 4.", 1),
        ("A sum.\n</think>\n\nIt is 4.", "It is 4.", 7),
        ("<think>goes on and on", "", 14),
        ("<think></think>", "", 0),
        ("It is <think>really?</think>4.", "It is 4.", 7),
        ("Write `<think>` and `</think>`.", "Write `<think>` and `</think>`.", 0),
        ("```\n<think>x</think>\n```", "```\n<think>x</think>\n```", 0),
        ("The <think> tag opens it.", "The <think> tag opens it.", 0),
        ("I think so.", "I think so.", 0),
        ("", "", 0),
    ],
)
def test_what_is_shown_of_a_text(text, shown, left_out):
    assert visible(text) == (shown, left_out)


@given(
    st.text(alphabet="ab `\n"),
    st.text(alphabet="ab \n"),
    st.sampled_from(["think", "thinking", "thought", "reasoning"]),
)
def test_a_block_at_the_head_leaves_the_answer_alone(answer, thought, tag):
    assert visible(f"<{tag}>{thought}</{tag}>{answer}") == (answer.lstrip(), len(thought))


@given(st.text())
def test_what_is_shown_holds_nothing_more_to_leave_out_at_its_head(text):
    shown, left_out = visible(text)
    assert left_out >= 0
    assert shown == text or len(shown) < len(text)


@pytest.mark.parametrize("reply", [{"content": None}, {"content": " "}, {"content": "<think>a sum that goes"}])
def test_a_user_is_shown_that_the_tokens_were_spent(talk, reply):
    talk.open()
    talk.modulate()
    talk.reply(finish_reason="length", **reply)
    assert talk.closed[0]["finish"] == "model_error"
    assert "token_limit" in talk.closed[0]["response"]


def test_reasoning_reaches_neither_user_nor_history(talk):
    talk.open()
    talk.modulate()
    talk.reply(content="<think>They are testing me.</think>The short guide.")
    assert talk.closed[0]["response"] == "The short guide."
    talk.open(audit_id="t2", ts=200.0)
    talk.modulate(audit_id="t2", ts=200.0)
    assert "testing me" not in str(talk.requests[-1])
