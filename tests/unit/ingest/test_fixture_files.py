"""Each format on a realistic file: what comes out, what is left out, and the same bytes again."""

import orjson
import pytest

FILES = {
    "conversations.json": "chatgpt-export",
    "claude.json": "claude-export",
    "spans.jsonl": "otel-genai",
    "transcript.jsonl": "claude-transcript",
    "chat.txt": "text",
    "records.jsonl": "jsonl",
    "observations.jsonl": "behave-jsonl",
}


@pytest.mark.parametrize(("file", "format_name"), FILES.items())
def test_the_same_file_twice_is_the_same_bytes_and_ids_are_unique(read, data, file, format_name):
    raw = (data / file).read_bytes()
    first, second = read(raw, format_name), read(raw, format_name)
    assert orjson.dumps(first.lines) == orjson.dumps(second.lines)
    ids = [value["id"] for value in first.values if "id" in value]
    assert len(ids) == len(set(ids))


def test_a_chatgpt_export_gives_its_current_branches_in_event_time(read, data):
    got = read((data / "conversations.json").read_bytes(), "chatgpt-export")
    assert got.prompts == [
        "Imagine a haiku about autumn rain",
        "Thanks, that worked, could you write it out once more?",
        "Plan three days in Lisbon for me, maybe something with trams.",
        "Urgent!! Which of these two trains do I take right now?",
    ]
    assert got.responses == [
        "Rain on the window / ...",
        "Day 1: Alfama and tram 28.\nDay 2: Belém.\nDay 3: Sintra.",
        "The one at 12:01.\n\nIt leaves from Rossio.",
    ]
    assert got.skipped == {"meta": 1, "short": 1}
    assert got.noted["image"] == got.noted["audio"] == got.noted["tool call"] == got.noted["thoughts"] == 1
    opened = [v for v in got.values if v["kind"] == "opened"]
    assert [v["turn"] for v in opened] == [0, 1, 0, 1]
    assert [v["session_id"] for v in opened] == ["c0ffee00-0002"] * 2 + ["c0ffee00-0001"] * 2
    assert {v["identity"] for v in got.values} == {"chatgpt-user"}
    assert [v["ts"] for v in got.values] == sorted(v["ts"] for v in got.values)
    assert opened[3]["signals"] == [{"name": "urgency", "level": 1.0, "ttl_ms": 800, "source": "heuristics"}]
    assert "signals" in opened[2]
    assert opened[2]["model"] == "gpt-4o"


def test_a_transcript_gives_one_response_per_prompt(read, data):
    got = read((data / "transcript.jsonl").read_bytes(), "claude-transcript", identity="ann")
    assert got.prompts == [
        "The parser fails on empty lines, can you find out why and fix it?",
        "URGENT: production is down, roll that back right now!",
    ]
    assert got.responses == [
        "I'll look at the parser first.\n\nIt indexes the first character. A guard fixes it.",
        "Rolled back.",
    ]
    assert got.skipped == {"meta": 2, "sidechain": 2, "short": 1, "interruption": 1, "slash_command": 1}
    assert {v["identity"] for v in got.values} == {"ann"}
    assert got.values[0]["ts"] == 1749556805.25
    assert got.values[1]["ts"] == 1749556820.5


def test_a_claude_export_gives_the_branch_that_the_person_sees(read, data):
    got = read((data / "claude.json").read_bytes(), "claude-export")
    assert got.prompts == [
        "Which paper would you use for a letterpress invitation?",
        "And which colour of ink goes with it?",
        "Summarise the notes I pasted, please, in one line.",
    ]
    assert got.responses == ["Cotton, 300 g.", "A warm grey.", "They are about tides."]
    assert got.noted["message of another branch"] == 1
    assert got.noted["tool_use"] == got.noted["tool_result"] == got.noted["thinking"] == got.noted["attachment"] == 1
    opened = [v for v in got.values if v["kind"] == "opened"]
    assert [v["turn"] for v in opened] == [0, 1, 0]
    assert {v["identity"] for v in got.values} == {"claude-user"}
    assert got.values[0]["ts"] == 1746090000.5


def test_spans_of_every_form_give_one_turn_per_prompt(read, data):
    got = read((data / "spans.jsonl").read_bytes(), "otel-genai")
    assert got.prompts == [
        "What is the weather like in Lisbon today?",
        "How long is the river Tagus, please?",
        "Name three bridges across that river.",
        "What is the oldest tram line in town?",
    ]
    assert got.responses == [
        "Sunny, 24 degrees.",
        "1007 kilometres.",
        "Vasco da Gama, 25 de Abril, Salazar.",
        "Line 28.",
    ]
    opened = [v for v in got.values if v["kind"] == "opened"]
    assert [v["session_id"] for v in opened] == ["aa01", "conv-7", "conv-7", "aa04"]
    assert opened[0]["model"] == "gpt-4o-2024-08-06"
    assert opened[3]["identity"] == "ann"
    assert got.refusals == []


def test_a_pasted_chat_gives_its_turns_whatever_marks_the_headings_bear(read, data):
    got = read((data / "chat.txt").read_bytes(), "text")
    bakery = "What is a good name for a small bakery by the sea?"
    assert got.prompts == [bakery, bakery, "Thanks, perfect!", "And what should I hang over the door, please?"]
    assert got.responses[0] == "Some ideas:\n\n- Salt & Crumb\n- The Rising Tide"
    assert len(got.responses) == 3
    assert len({v["audit_id"] for v in got.values}) == 4
    assert [v["ts"] for v in got.values] == [1000.0, 1030.0, 1060.0, 1090.0, 1120.0, 1150.0, 1180.0]


def test_our_own_records_pass_as_they_came(read, data):
    raw = (data / "records.jsonl").read_bytes()
    assert read(raw, "jsonl").lines == [orjson.loads(line) for line in raw.splitlines()]


def test_an_observation_without_identity_takes_the_one_given(read, data):
    raw = (data / "observations.jsonl").read_bytes()
    assert [v["identity_ref"] for v in read(raw, "behave-jsonl", identity="x").values] == ["actor-1", "x"]
    without = read(raw, "behave-jsonl")
    assert len(without.values) == 1
    assert "in:2" in without.refusals[0]
    assert "--identity" in without.refusals[0]


def test_the_same_file_under_another_identity_is_other_turns(read, data):
    raw = (data / "chat.txt").read_bytes()
    ann, bob = (read(raw, "text", identity=who).values for who in ("ann", "bob"))
    assert not {v["id"] for v in ann} & {v["id"] for v in bob}
