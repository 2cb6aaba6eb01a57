"""Transcript lines that are not as they should be."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

ASK = "Why does the build take nine minutes?"


def entry(kind, content, **more):
    given_fields = {
        "type": kind,
        "message": {"content": content},
        "sessionId": "s",
        "timestamp": "2025-01-01T00:00:00Z",
    }
    return given_fields | more


def jsonl(*entries):
    return b"".join(e if isinstance(e, bytes) else orjson.dumps(e) + b"\n" for e in entries)


def test_two_identical_prompts_without_ids_are_two_turns(read):
    got = read(jsonl(entry("user", ASK), entry("assistant", "Tests."), entry("user", ASK)), "claude-transcript")
    assert got.prompts == [ASK, ASK]
    assert got.responses == ["Tests."]
    assert len({v["audit_id"] for v in got.values}) == 2


def test_sessions_that_share_a_file_do_not_mix(read):
    got = read(
        jsonl(
            entry("user", ASK, sessionId="one"),
            entry("user", ASK + " Really?", sessionId="two"),
            entry("assistant", "For one.", sessionId="one"),
            entry("assistant", "For two.", sessionId="two"),
        ),
        "claude-transcript",
    )
    by_turn = {v["audit_id"]: v["session_id"] for v in got.values if v["kind"] == "opened"}
    closed = {by_turn[v["audit_id"]]: v["response"] for v in got.values if v["kind"] == "closed"}
    assert closed == {"one": "For one.", "two": "For two."}


def test_a_tool_result_does_not_end_a_turn_and_a_skipped_prompt_keeps_its_reply(read):
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]
    got = read(
        jsonl(
            entry("user", ASK),
            entry("assistant", [{"type": "text", "text": "Looking."}, {"type": "tool_use", "name": "x"}]),
            entry("user", result),
            entry("assistant", "Done."),
            entry("user", "ok"),
            entry("assistant", "Bye."),
        ),
        "claude-transcript",
    )
    assert got.responses == ["Looking.\n\nDone."]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"{not json}\n", "in:2: is not JSON"),
        (b"[]\n", "in:2: is a list"),
        (b'{"no": "type"}\n', "in:2: has no `type`"),
        (b'{"type":"user"}\n', "in:2: no `message.content`"),
        (b'{"type":"user","message":{"content":7}}\n', "in:2: `message.content` is a number"),
        (
            b'{"type":"user","message":{"content":[{"type":"text","text":5}]}}\n',
            "in:2: a text block's `text` is a number",
        ),
        (b"\xff\xfe\n", "in:2: is not UTF-8 (byte 0xff at position 1"),
    ],
)
def test_a_bad_line_is_named_and_the_lines_around_it_are_kept(read, bad, said):
    source = jsonl(entry("user", ASK), bad, entry("user", ASK), entry("assistant", "Tests."))
    got = read(source, "claude-transcript")
    assert got.prompts == [ASK, ASK]
    assert got.responses == ["Tests."]
    assert len(got.refusals) == 1
    assert said in got.refusals[0]
    assert "expected" in got.refusals[0]
    stopped = read(source, "claude-transcript", strict=True)
    assert stopped.stopped
    assert stopped.tally.refused == 1
    assert stopped.lines == []


def test_a_file_that_ends_within_a_line_keeps_what_came_before(read):
    got = read(jsonl(entry("user", ASK), entry("assistant", "Tests.")) + b'{"type":"us', "claude-transcript")
    assert got.responses == ["Tests."]
    assert "in:3: is not JSON" in got.refusals[0]


def test_a_record_that_would_be_too_large_is_refused_here(read):
    got = read(jsonl(entry("user", "x" * 3000), entry("user", ASK)), "claude-transcript", max_record_bytes=2000)
    assert got.prompts == [ASK]
    assert "expected at most 2000" in got.refusals[0]


BLOCKS = st.lists(
    st.dictionaries(st.sampled_from(["type", "text", "id"]), st.sampled_from(["text", "image", ""]) | st.integers())
    | st.text(max_size=4)
)
ENTRIES = st.dictionaries(
    st.sampled_from(["type", "message", "sessionId", "timestamp", "isMeta", "isSidechain", "uuid"]),
    st.sampled_from(["user", "assistant", "system", "s", ASK])
    | st.integers()
    | st.none()
    | st.booleans()
    | st.dictionaries(st.sampled_from(["content", "model"]), st.text(max_size=30) | BLOCKS | st.integers()),
)


@settings(max_examples=examples(100), deadline=None)
@given(lines=st.lists(ENTRIES.map(lambda entry: json.dumps(entry).encode()) | st.binary(max_size=20), max_size=6))
def test_no_lines_break_the_reader_and_a_good_turn_among_them_is_kept(read, lines):
    good = orjson.dumps(entry("user", ASK, sessionId="mine", uuid="mine"))
    got = read(b"\n".join([b"", *lines, good, *lines]), "claude-transcript")
    assert ASK in got.prompts
