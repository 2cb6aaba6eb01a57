"""`endocrine policy check FILE`: streams and exit codes."""

import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import policy
from endocrine.pipeline.process.policy_files import load_policy


def run(*arguments, env=None):
    app = typer.Typer()

    @app.callback()
    def endocrine() -> None:
        pass

    policy.register(app)
    return CliRunner().invoke(app, ["policy", *arguments], env=env)


def test_a_good_file_prints_its_digest_and_exits_0(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("defaults: {temperature: 0.4}\n")
    result = run("check", str(path))
    assert (result.exit_code, result.stdout.strip()) == (0, load_policy(path).digest)
    assert result.stderr == f"{path}: no mistake; decisions made under it name this digest:\n"


def test_every_mistake_is_a_line_on_stderr_and_the_exit_code_is_1(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("flags: {A: true, B: true}\nmaps: {stress: {temperature: y}}\n")
    result = run("check", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    places = [line.removeprefix(f"{path}:").split(": ")[:2] for line in result.stderr.splitlines()]
    assert places == [["1", "flags.A"], ["1", "flags.B"], ["2", "maps.stress.temperature"]]


def test_flags_of_the_environment_count(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("defaults: {temperature: 0.4}\n")
    result = run("check", str(path), env={"ENDOCRINE_FLAG_STRICT_DEFAULT": "1"})
    assert result.stdout.strip() not in ("", load_policy(path).digest)
    assert run("check", str(path), env={"ENDOCRINE_FLAG_STRICT_DEFAULT": "perhaps"}).exit_code == 1


def test_a_rule_that_windowed_streams_judge_at_the_end_only_is_noted(tmp_path):
    path = tmp_path / "mine.yaml"
    late, low = (
        "category: violence, score: 0.9, phrases: [fight me]",
        "category: violence, score: 0.6, phrases: [hit me]",
    )
    rules = f"{{late: {{{late}}}, low: {{{low}}}}}"
    path.write_text(f"moderation: {{rules: {rules}}}\napplications: {{shop: {{stream: windowed}}}}\n")
    result = run("check", str(path))
    assert (result.exit_code, result.stdout.strip()) == (0, load_policy(path).digest)
    line, _ = result.stderr.splitlines()
    assert line.startswith("note: moderation.rules.late: no span: ")
    assert "applications: shop" in line


def test_without_windowed_streams_there_is_no_note(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("moderation: {rules: {late: {category: violence, score: 0.9, phrases: [fight me]}}}\n")
    assert "note: " not in run("check", str(path)).stderr
