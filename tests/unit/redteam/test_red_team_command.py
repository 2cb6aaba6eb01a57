"""`endocrine redteam`: exit codes, the key, and what it prints."""

import json
import socket

import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import redteam
from endocrine.pipeline.data.redteam.corpus import load_corpus
from endocrine.pipeline.data.redteam.run import RedTeam, Result

app = typer.Typer()
app.callback()(lambda: None)
redteam.register(app)
CASE = load_corpus().cases[0]


def command(*options, env=None):
    return CliRunner().invoke(app, ["redteam", "--base-url", "http://127.0.0.1:1", *options], env=env)


@pytest.fixture
def found(monkeypatch):
    """What a run finds: breaches, and whether the attack was reached. Gives the teams that were made."""
    teams = []

    def given(breaches=(), reached=True):
        async def run(self):
            teams.append(self)
            return [Result(CASE, "chat", "redteam-x", list(breaches), reached, False, [])]

        monkeypatch.setattr(RedTeam, "run", run)
        return teams

    return given


def test_all_held_is_0_and_one_that_did_not_is_1(found):
    found()
    assert command().exit_code == 0
    found(["a call of 'pay' left the door"])
    result = command()
    assert result.exit_code == 1
    assert "NOT HELD" in result.stdout.splitlines()[1]


def test_an_attack_that_is_not_reached_fails_only_where_it_must(found):
    found(reached=False)
    assert (command().exit_code, command("--must-reach").exit_code) == (0, 1)


def test_json_has_each_result(found):
    found(["broken"])
    whole = json.loads(command("--json").stdout)
    assert (whole["sound"], whole["not_held"], whole["results"][0]["breaches"]) == (False, 1, ["broken"])


def test_no_door_is_3():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = CliRunner().invoke(app, ["redteam", "--base-url", f"http://127.0.0.1:{port}"])
    assert result.exit_code == 3
    assert f"no door answers at http://127.0.0.1:{port}" in result.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://a/openai/v1", "http://me@a"])
def test_an_address_that_is_no_door_is_2(url):
    result = CliRunner().invoke(app, ["redteam", "--base-url", url])
    assert (result.exit_code, "--base-url" in result.stderr) == (2, True)


def test_the_key_comes_from_the_file_or_the_environment_and_a_bad_one_is_not_repeated(found, tmp_path):
    teams = found()
    (tmp_path / "key").write_text("secret-1\n")
    command("--key-file", str(tmp_path / "key"), env={"ENDOCRINE_API_KEY": "secret-2"})
    command(env={"ENDOCRINE_API_KEY": "secret-2"})
    assert [team.key for team in teams] == ["secret-1", "secret-2"]
    (tmp_path / "key").write_text("two words of a secret")
    result = command("--key-file", str(tmp_path / "key"))
    assert (result.exit_code, "words" in result.output) == (2, False)
    assert command("--key-file", str(tmp_path / "none")).exit_code == 2


def test_an_unknown_kind_is_named_with_those_there_are(found):
    found()
    result = command("--only", "nothing")
    assert result.exit_code == 2
    assert "allowlist" in result.stderr


def test_the_bounds_are_those_of_the_policy(found, tmp_path):
    teams = found()
    (tmp_path / "policy.yaml").write_text("bounds: {temperature: [0, 0.7]}\ndefaults: {temperature: 0.5}\n")
    assert command("--policy", str(tmp_path / "policy.yaml")).exit_code == 0
    command()
    assert [team.bounds["temperature"] for team in teams] == [(0.0, 0.7), (0.0, 1.0)]


def test_the_script_is_printed_for_the_door_that_is_named():
    script = json.loads(command("--script", "--only", "redirect").stdout)
    assert "127.0.0.1:1/metrics" in json.dumps(script)
