"""`endocrine capture`: what is a turn, what is skipped, and that the same line is the same turn."""

import json

import httpx
import pytest
import typer
from typer.testing import CliRunner

import endocrine_client
from endocrine.pipeline.cli import capture
from endocrine.pipeline.data.capture import CapturedTurn, Skipped, captured_turn
from endocrine.pipeline.data.ingest.run import shipped_rules

RULES = shipped_rules().capture
LONG = "How long do refunds take here?"


def turn(**fields):
    return captured_turn(json.dumps({"prompt": LONG, "response": "Ten days.", **fields}).encode(), RULES)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": " "}, "no_prompt"),
        ({"prompt": None}, "no_prompt"),
        ({"prompt": "<meta>" + LONG}, "meta"),
        ({"prompt": "/compact now please do"}, "slash_command"),
        ({"prompt": "yes"}, "short"),
        ({"response": ""}, "no_response"),
        ({"surplus": 1}, "parse_error"),
        ({"turn": -1}, "parse_error"),
        ({"turn": True}, "parse_error"),
        ({"identity": 5}, "parse_error"),
        ({"ts": "now"}, "parse_error"),
    ],
)
def test_what_is_no_turn_is_skipped_with_its_reason(fields, reason):
    assert turn(**fields) == Skipped(reason)
    assert captured_turn(b"[1]", RULES) == captured_turn(b"{", RULES) == Skipped("parse_error")


def test_the_same_line_is_the_same_turn_and_a_long_answer_is_cut():
    one = turn(identity="ann", turn=1)
    assert isinstance(one, CapturedTurn)
    assert one.audit_id == turn(identity="ann", turn=1, response="Other.").audit_id
    assert len({one.audit_id, turn(identity="bob", turn=1).audit_id, turn(identity="ann", turn=2).audit_id}) == 3
    assert turn(response="x" * 50_001).response == "x" * 50_000 + "\n\n[truncated]"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command on lines, against a gateway that answers with a status; the result and what it was sent."""

    def ran(status, *lines, arguments=(), **env):
        sent = []

        def answer(request):
            sent.append((request.url.path, json.loads(request.content)))
            return httpx.Response(status, json={"audit_id": "a", "type": "/problems/invalid"})

        real = endocrine_client.SyncEndocrine
        made = lambda **given: real("http://gateway.test", spool=tmp_path / "spool", **(given | {"close_s": 1.0}),  # noqa: E731
                                    transport=httpx.MockTransport(answer))  # fmt: skip
        monkeypatch.setattr(endocrine_client, "SyncEndocrine", made)
        app = typer.Typer()
        app.callback()(lambda: None)
        capture.register(app)
        text = "".join(json.dumps(one) + "\n" for one in lines)
        result = CliRunner().invoke(app, ["capture", "--json", *arguments], input=text, env=env)
        monkeypatch.setattr(endocrine_client, "SyncEndocrine", real)
        return result, sent

    return ran


def test_turns_are_recorded_in_order_under_what_the_options_say(run):
    lines = [{"prompt": LONG, "response": "Ten days."}, {"prompt": "yes", "response": "x"},
             {"prompt": LONG, "response": "Ten.", "identity": "bob", "project": "p1"}]  # fmt: skip
    result, sent = run(200, *lines, arguments=["--identity", "ann", "--project", "p05", "--no-reinforce"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"recorded": 2, "skipped": {"short": 1}, "waiting": 0, "refused": 0, "lost": 0}
    opened = [value for path, value in sent if path == "/v1/turns"]
    assert [(one["identity"], one["project"], one["client"]) for one in opened] == [
        ("ann", "p05", "capture"),
        ("bob", "p1", "capture"),
    ]
    assert [value["reinforce"] for path, value in sent if path.endswith("/close")] == [False, False]


def test_what_is_turned_off_or_refused_says_so(run):
    line = {"prompt": LONG, "response": "Ten days."}
    result, sent = run(200, line, ENDOCRINE_CAPTURE_DISABLED="1")
    assert (result.exit_code, result.stderr, sent) == (0, "skipped: disabled\n", [])
    result, _ = run(200, line, ENDOCRINE_IDENTITY="")
    assert (result.exit_code, "--identity" in result.stderr) == (2, True)
    result, _ = run(422, line, arguments=["--identity", "ann"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["refused"] == 2
