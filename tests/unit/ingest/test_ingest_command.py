"""The command: streams, exit codes, the last line."""

import orjson
import pytest

from endocrine.pipeline.cli.ingest import FormatName
from endocrine.pipeline.data.ingest.produce import message
from endocrine.pipeline.data.ingest.recognise import guess
from endocrine.pipeline.data.ingest.run import FORMATS


def last(result):
    return result.stderr.strip().splitlines()[-1]


def test_the_formats_of_the_command_are_those_there_are():
    assert list(FormatName.__args__) == [*FORMATS, "auto"]


def test_dry_run_twice_prints_the_same_bytes_and_counts_on_the_last_line(run, data):
    first, second = (run(data / "chat.txt", "--format", "text", "--dry-run") for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout_bytes == second.stdout_bytes
    assert [orjson.loads(line)["topic"] for line in first.stdout_bytes.splitlines()] == ["interactions"] * 7
    assert last(first) == "ingest: turns 4, records 7, skipped 0, refused 0"


def test_standard_input_is_read_by_its_dash(run, data):
    raw = (data / "chat.txt").read_bytes()
    piped = run("-", "--format", "text", "--dry-run", input=raw)
    assert piped.stdout_bytes == run(data / "chat.txt", "--format", "text", "--dry-run").stdout_bytes


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.txt", "--format", "text"], 2, "nowhere.txt: no such file"),
        (["-", "--project", "x" * 300], 2, "--project: 300 characters; expected 1 to 200"),
        (["-", "--format", "text", "--identity", " "], 2, "--identity: empty; expected 1 to 256 characters"),
        (["-", "--format", "text", "--identity", "Project:x"], 2, "--identity: reserved_name"),
        (["-", "--format", "text", "--identity", "$registry"], 2, "--identity: reserved_name"),
        (["-", "--format", "jsonl", "--identity", "x"], 2, "name their own identity"),
        (["-", "--format", "text", "--start-ts", "-5"], 2, "--start-ts: -5.0 is out of range"),
        (["-", "--format", "nope"], 2, "nope"),
    ],
)
def test_what_cannot_be_used_is_said_with_what_was_expected(run, arguments, code, said):
    result = run(*arguments, "--dry-run")
    assert (result.exit_code, said in result.stderr) == (code, True)
    assert result.stdout == ""


def test_the_wrong_format_ends_with_a_hint_and_exit_code_1(run, data):
    result = run(data / "conversations.json", "--format", "jsonl", "--dry-run")
    assert result.exit_code == 1
    assert "looks like chatgpt-export; try --format chatgpt-export" in result.stderr


@pytest.mark.parametrize(
    ("file", "format_name"),
    [
        ("conversations.json", "chatgpt-export"),
        ("claude.json", "claude-export"),
        ("spans.jsonl", "otel-genai"),
        ("transcript.jsonl", "claude-transcript"),
        ("chat.txt", "text"),
        ("records.jsonl", "jsonl"),
        ("observations.jsonl", "behave-jsonl"),
    ],
)
def test_a_format_is_recognised_by_its_beginning(data, file, format_name):
    assert guess((data / file).read_bytes()[:65536]) == format_name


def test_a_refused_line_is_counted_and_strict_stops_at_it(run, data):
    source = (data / "records.jsonl").read_bytes() + b"broken\n"
    counted = run("-", "--format", "jsonl", "--dry-run", input=source)
    assert counted.exit_code == 0
    assert "stdin:4: is not JSON" in counted.stderr
    assert last(counted) == "ingest: turns 1, records 3, skipped 0, refused 1"
    stopped = run("-", "--format", "jsonl", "--dry-run", "--strict", input=b"broken\n" + source)
    assert stopped.exit_code == 1
    assert last(stopped) == "ingest: turns 0, records 0, skipped 0, refused 1"


def test_a_record_is_sent_under_its_identity_with_its_id_and_type():
    key, value, headers = message({"topic": "observations", "value": {"identity_ref": "actor-é", "id": "o1"}})
    assert key == "actor-é".encode()
    assert orjson.loads(value) == {"identity_ref": "actor-é", "id": "o1"}
    assert dict(headers) == {
        "content-type": b"application/json",
        "ce_id": b"o1",
        "ce_source": b"endocrine/ingest",
        "ce_type": b"endocrine.observations.v1",
        "ce_specversion": b"1.0",
        "ce_subject": "actor-é".encode(),
    }


@pytest.mark.parametrize(("ts", "time"), [(1.5, b"1970-01-01T00:00:01.500000Z"), (1e300, None), (True, None)])
def test_the_time_of_the_record_is_the_time_of_the_event(ts, time):
    _, _, headers = message({"topic": "signals", "value": {"identity": "a", "id": "s", "ts": ts}})
    assert dict(headers).get("ce_time") == time


def test_a_record_without_an_id_is_no_cloudevent_and_one_that_is_has_all_it_must_have():
    _, _, bare = message({"topic": "observations", "value": {"identity_ref": "a"}})
    assert bare == [("content-type", b"application/json")]
    _, _, named = message({"topic": "observations", "value": {"identity_ref": "a"}, "headers": {"ce_id": "x"}})
    assert {"ce_id", "ce_source", "ce_type", "ce_specversion"} <= dict(named).keys()


def test_the_key_and_headers_of_a_line_have_the_last_word():
    line = {"topic": "signals", "value": {"identity": "a", "id": "s"}, "key": "b", "headers": {"ce_id": "x", "h": "y"}}
    key, _, headers = message(line)
    assert key == b"b"
    assert (dict(headers)["ce_id"], dict(headers)["h"]) == (b"x", b"y")
