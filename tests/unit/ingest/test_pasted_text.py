"""Pasted chats."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.data.ingest.recognise import guess
from properties import examples

ASK = "Where do swifts sleep at night?"


@pytest.mark.parametrize(
    "mark", ["{}", "##### {}", "**{}**", "### **{}**", "__{}__", "  {}  ", "> {}", "*{}*", "{}\r", "\u200b{}\u00a0"]
)
@pytest.mark.parametrize("colon", [":", ""])
def test_headings_are_found_whatever_marks_they_bear(read, mark, colon):
    you, chatgpt = (mark.format(f"{who} said{colon}") for who in ("You", "ChatGPT"))
    got = read(f"{you}\n{ASK}\n{chatgpt}\nIn the air.\n", "text")
    assert (got.prompts, got.responses) == ([ASK], ["In the air."])


def test_a_page_may_have_put_no_break_spaces_into_headings(read):
    pasted = f"You\u00a0said:\n{ASK}\nChatGPT\u00a0said:\nIn the air.\n"
    assert read(pasted, "text").responses == ["In the air."]
    assert guess(pasted.encode()) == "text"


@pytest.mark.parametrize("line", ["You said: it was late", "Then you said:", "You said nothing", "- You said: a"])
def test_a_sentence_is_no_heading(read, line):
    got = read(f"You said:\n{ASK}\n{line}\nChatGPT said:\nIn the air.\n", "text")
    assert got.prompts == [f"{ASK}\n{line}"]


def test_a_chat_pasted_again_with_more_at_its_end_keeps_the_ids_of_its_turns(read):
    first = f"You said:\n{ASK}\nChatGPT said:\nIn the air.\n"
    longer = read(f"{first}You said:\n{ASK}\n", "text")
    assert longer.lines[:2] == read(first, "text").lines
    assert len({v["id"] for v in longer.values}) == 3


def test_a_reply_without_a_prompt_and_a_prompt_without_a_reply(read):
    got = read(f"ChatGPT said:\nWelcome!\nYou said:\n{ASK}\nYou said:\n{ASK}\n", "text")
    assert got.prompts == [ASK, ASK]
    assert got.responses == []
    assert got.noted == {"reply without a prompt": 1}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"Only some words.", "in: no message found; expected the headings"),
        ("You said:\nhello".encode("utf-16"), "in:1: is UTF-16; expected UTF-8"),
        (b"PK\x03\x04rest", "in:1: is a zip archive"),
    ],
)
def test_what_is_no_chat_is_refused_with_what_to_do(read, raw, said):
    got = read(raw, "text")
    assert got.lines == []
    assert said in got.refusals[0]


def test_a_line_that_is_not_utf8_costs_its_turn_alone(read):
    turn = f"You said:\n{ASK}\nChatGPT said:\nIn the air.\n".encode()
    got = read(turn + b"You said:\nbroken \xe9\n" + turn, "text")
    assert got.prompts == [ASK, ASK]
    assert "in:6: is not UTF-8" in got.refusals[0]


def test_an_empty_file_is_nothing_and_no_error(read):
    assert str(read(b"", "text").tally) == "turns 0, records 0, skipped 0, refused 0"


@settings(max_examples=examples(100), deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            ["You said:\n", "**ChatGPT said:**\n", ASK + "\n", "\n", "\r", "#", "/x\n", "<y\n", "\ud7ff", "\0"]
        )
    ).map(lambda parts: "".join(parts).encode())
)
def test_no_text_breaks_the_reader(read, raw):
    assert read(raw, "text").lines == read(raw, "text").lines
