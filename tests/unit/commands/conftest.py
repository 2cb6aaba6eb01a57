"""The command line as a person has it, run in this process."""

import importlib
from functools import cache
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from endocrine.pipeline.cli.app import app
from endocrine.pipeline.cli.main import COMMANDS


@cache
def tree() -> Any:
    """All commands as typer makes them of our functions: each call of its runner would make them anew, in 30 ms."""
    if not app.registered_commands:
        for name in COMMANDS:
            importlib.import_module(f"endocrine.pipeline.cli.{name}").register(app)
    return typer.main.get_command(app)


@pytest.fixture
def endocrine(tmp_path, monkeypatch):
    """Call the command line: `endocrine("dlq", "list", NAME="value")` gives click's result. In an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("BOOTSTRAP", "REDIS_URL", "PREFIX", "POLICY", "DATA_DIR"):
        monkeypatch.delenv(f"ENDOCRINE_{name}", raising=False)
    commands = tree()
    monkeypatch.setattr("typer.testing._get_command", lambda app: commands)

    def call(*words, input=None, **env):
        return CliRunner().invoke(app, list(words), input=input, env=env)

    return call
