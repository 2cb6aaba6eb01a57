"""Every command of the README runs: here where it needs no broker, else in the contract test that is named."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ELSEWHERE = {
    "make run": "tests/contract/test_demo_commands.py",
    "python examples/openai-base-url/chat.py": "tests/contract/gateway/test_openai_port.py",
    "endocrine explain AUDIT_ID": "tests/contract/test_audits.py",
}
"""Beginning of a command to the test that runs it on a broker."""
ACTIVATE = "source .venv/bin/activate"


def commands():
    """Commands of the fenced blocks; one that ends in a bar or within quotes goes on in the next line."""
    for block in re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        command = ""
        for line in block.splitlines():
            command += line + "\n"
            if command.count("'") % 2 == 0 and not line.endswith("|"):
                yield command.strip()
                command = ""
        assert not command


def elsewhere(command):
    return next((test for begin, test in ELSEWHERE.items() if command.startswith(begin)), None)


HERE = [command for command in commands() if not elsewhere(command) and command != ACTIVATE]


def run(command):
    """What it prints, run in bash in the checkout with our commands on the path, as after `source`."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ENDOCRINE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    script = f"set -euo pipefail\n{command}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", HERE)
def test_a_command_that_needs_no_broker_runs_as_it_is_printed(command):
    assert run(command).strip()


def test_the_first_turn_of_the_readme_is_strict_with_one_tool():
    (line,) = run(next(command for command in HERE if command.startswith("echo"))).splitlines()
    assert line.startswith(
        "Turn t1 of ann runs strict at temperature 0.32 with at most 900 tokens and retrieval, because"
    )


def test_commands_that_need_a_broker_are_run_by_a_test_that_is_there():
    found = {elsewhere(command) for command in commands()} - {None}
    assert found == set(ELSEWHERE.values())
    assert all((ROOT / test).is_file() for test in found)


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert "run" in named
    assert named <= targets


def test_the_readme_shows_the_recording_near_its_top():
    assert README.index("(docs/recording.svg)") < 1200
