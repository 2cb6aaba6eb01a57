"""The command line as a person has it, run in this process."""

import importlib

import pytest
from typer.testing import CliRunner

from endocrine.pipeline.cli.app import app
from endocrine.pipeline.cli.main import COMMANDS


@pytest.fixture
def endocrine(tmp_path, monkeypatch):
    """Call the command line: `endocrine("dlq", "list", NAME="value")` gives click's result. In an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("BOOTSTRAP", "REDIS_URL", "PREFIX", "POLICY", "DATA_DIR"):
        monkeypatch.delenv(f"ENDOCRINE_{name}", raising=False)
    if not app.registered_commands:
        for name in COMMANDS:
            importlib.import_module(f"endocrine.pipeline.cli.{name}").register(app)

    def call(*words, input=None, **env):
        return CliRunner().invoke(app, list(words), input=input, env=env)

    return call
