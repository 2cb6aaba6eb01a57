"""Settings that cannot be used: a line for each, the same for every command, never the value."""

import pytest

from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.process.environment import SettingsError
from endocrine.pipeline.process.settings import Settings

SECRET = "hunter2"
COMMANDS = [
    ("topics", "list"),
    ("topics", "create"),
    ("simulate", "-"),
    ("schemas", "export", "out"),
    ("ingest", "-", "--dry-run"),
    ("worker",),
    ("connect", "timekeeper"),
    ("connect", "model"),
    ("connect", "tools"),
    ("project",),
    ("run",),
    ("chat",),
    ("chat", "--demo"),
    ("audit", "verify"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_names_each_wrong_setting_on_a_line_of_its_own_and_exits_2(endocrine, command):
    result = endocrine(*command, ENDOCRINE_PARTITIONS=SECRET, ENDOCRINE_STORE=SECRET)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: ENDOCRINE_PARTITIONS: a text of 7 characters; expected a valid integer",
        "error: ENDOCRINE_STORE: a text of 7 characters; expected 'memory' or 'rocksdb'",
    ]


@pytest.mark.parametrize(
    ("settings", "name", "value", "expected"),
    [
        (Settings, "ENDOCRINE_PARTITIONS", "0", "a value greater than or equal to 1"),
        (Settings, "ENDOCRINE_PREFIX", "A b", "a text that should match pattern"),
        (ToolSettings, "ENDOCRINE_TOOL_CONNECTORS", SECRET, "a JSON object"),
        (ToolSettings, "ENDOCRINE_TOOL_CONNECTORS", '{"web": "ftp://u:hunter2@host"}', "an http or https address"),
        (ToolSettings, "ENDOCRINE_TOOL_CALLS", SECRET, "'all' or 'conversation'"),
        (ModelSettings, "ENDOCRINE_MODEL_TRIES", SECRET, "a valid integer"),
    ],
)
def test_a_wrong_setting_names_the_variable_and_what_was_expected_never_the_value(
    settings, name, value, expected, monkeypatch
):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as found:
        settings()
    (line,) = str(found.value).splitlines()
    assert line.startswith(name)
    assert expected in line
    assert SECRET not in line


def test_the_version_is_printed_whatever_the_settings_are(endocrine):
    result = endocrine("--version", ENDOCRINE_PARTITIONS="many", ENDOCRINE_BUILD="abc123")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("endocrine ")
    assert result.stdout.endswith("+abc123\n")
