"""`endocrine hook stop`: which prompt an answer belongs to, what is skipped, and what the caller sees."""

import json
import subprocess
import sys

import pytest

from endocrine.pipeline.cli import hook
from endocrine.pipeline.data.hook import Skip, StoppedTurn, stopped_turn
from endocrine.pipeline.data.ingest.run import shipped_rules

RULES = shipped_rules().capture
LONG, OTHER = "How long do refunds take here?", "And who pays for the parcel then?"


def user(content, **more):
    return json.dumps({"type": "user", "sessionId": "s", "message": {"content": content}, **more}).encode()


def stop(*lines, **more):
    given = {"session_id": "s", "transcript_path": "t", "cwd": "/", "last_assistant_message": "Ten days.", **more}
    return stopped_turn(json.dumps(given).encode(), lines, RULES)


def test_the_answer_is_paired_with_the_newest_prompt():
    found = stop(user(LONG), user(OTHER))
    assert isinstance(found, StoppedTurn)
    assert (found.prompt, found.turn, found.response) == (OTHER, 1, "Ten days.")


def test_a_turn_has_the_times_of_its_transcript():
    answered = json.dumps({"type": "assistant", "timestamp": "2025-03-01T12:00:07Z"}).encode()
    found = stop(user(LONG, timestamp="2025-03-01T12:00:00Z"), answered, user(OTHER, sessionId="x", timestamp=9e9))
    assert (found.opened, found.closed) == (1740830400.0, 1740830407.0)


def test_a_short_answer_of_the_person_is_skipped_and_no_older_prompt_is_taken_for_it():
    assert stop(user(LONG), user("yes")) == Skip("short")


@pytest.mark.parametrize(
    ("newest", "reason"),
    [("/compact now please do", "slash_command"), ("<command-name>x</command-name>", "meta"), ("  ", "no_prompt")],
)
def test_what_is_no_prompt_is_skipped_with_its_reason(newest, reason):
    assert stop(user(LONG), user(newest)) == Skip(reason)


def test_what_programs_write_between_is_passed_over():
    between = [
        user(OTHER, isMeta=True),
        user(OTHER, isSidechain=True),
        user(OTHER, sessionId="another"),
        user([{"type": "tool_result", "content": OTHER}]),
        json.dumps({"type": "assistant", "message": {"content": OTHER}}).encode(),
        b"{broken",
        b"\n",
    ]
    found = stop(user([{"type": "text", "text": "How long do"}, {"type": "text", "text": "refunds take?"}]), *between)
    assert isinstance(found, StoppedTurn)
    assert (found.prompt, found.turn, found.bad_lines) == ("How long do\nrefunds take?", 0, 1)


def test_a_second_stop_of_one_turn_is_the_same_turn():
    first, again = stop(user(LONG)), stop(user(LONG), last_assistant_message="Other.")
    assert first.audit_id == again.audit_id
    assert first.audit_id.startswith("hook-")
    assert len(first.audit_id) == len("hook-") + 32
    assert stop(user(LONG), turn_number=7).audit_id != first.audit_id
    assert stop(user(LONG), turn_number=7).turn == 7


@pytest.mark.parametrize("given", [b"{", b"[]", b"{}", b'{"session_id": 5}'])
def test_an_input_that_cannot_be_read_is_skipped(given):
    assert stopped_turn(given, [user(LONG)], RULES) == Skip("parse_error")


def test_without_an_answer_nothing_is_recorded():
    assert stop(user(LONG), last_assistant_message=None) == Skip("no_response")


def run(given, tmp_path, **environment):
    environment |= {"PATH": "", "XDG_STATE_HOME": str(tmp_path / "state"), "ENDOCRINE_URL": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "endocrine.pipeline.cli", "hook", "stop"]
    done = subprocess.run(command, input=given, capture_output=True, env=environment, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"")
    return done.stderr.decode()


def test_a_gateway_that_is_away_leaves_the_turn_on_disk(tmp_path):
    transcript = tmp_path / "t.jsonl"
    transcript.write_bytes(user(LONG) + b"\n")
    given = {"session_id": "s", "transcript_path": str(transcript), "last_assistant_message": "Ten days."}
    said = run(json.dumps(given).encode(), tmp_path)
    assert "0 of 2 records sent, 0 lost" in said
    assert "refunds" not in said
    assert list((tmp_path / "state" / "endocrine").glob("spool-*.db"))


def test_turned_off_or_blank_it_does_nothing_and_a_broken_input_is_named(tmp_path):
    assert run(b"{", tmp_path, ENDOCRINE_CAPTURE_DISABLED="1") == ""
    assert run(b" \n", tmp_path) == ""
    assert "skipped: parse_error" in run(b"{", tmp_path)


def test_a_turn_is_of_the_project_that_the_policy_names_for_its_folder(tmp_path, monkeypatch, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text("capture:\n  paths: {/work/pump: p05}\n")
    monkeypatch.setenv("ENDOCRINE_POLICY", str(policy))
    found = [hook._project(json.dumps({"cwd": cwd}).encode()) for cwd in ("/work/pump/src", "/work/pumps", 7)]
    assert found == ["p05", None, None]
    policy.write_text("capture: {paths: 7}\n")
    assert hook._project(b'{"cwd": "/work/pump"}') is None
    assert "no project: the policy cannot be used" in capsys.readouterr().err
