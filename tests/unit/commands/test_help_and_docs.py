"""What help says is what was written, and what the docs name exists."""

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main

from endocrine.pipeline.cli.app import ORDER, SECTIONS, app
from endocrine.pipeline.cli.main import COMMANDS, modules_for
from endocrine.pipeline.data.export.writers import INSTALL, PYARROW

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def root(endocrine):
    return typer.main.get_command(app)


def walk(command, path=()):
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


def words(text):
    return "".join(text.split())


def test_help_shows_every_text_whole_brackets_too(endocrine, root):
    pages = {path: words(endocrine(*path, "--help").stdout) for path, _ in walk(root)}
    assert "endocrine[export]" in pages[("export",)]
    for path, command in walk(root):
        for text in [command.help, *(option.help for option in command.params if getattr(option, "help", None))]:
            assert words(text) in pages[path], path
        if path:
            assert words(command.help.partition(".")[0]) in pages[path[:-1]], path


def test_every_order_of_help_is_a_command_or_one_of_the_local_stack(root):
    assert set(ORDER) - {"up", "down", "status"} <= set(root.commands)
    assert set(root.commands) <= set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


def test_help_lists_commands_by_what_one_wants_to_do_each_once(endocrine, root):
    page = endocrine("--help").stdout
    titles = [line.removesuffix(":") for line in page.splitlines() if line.removesuffix(":") in SECTIONS]
    assert titles == list(SECTIONS)
    assert "Others:" not in page
    assert re.findall(r"^  ([a-z][a-z-]+) ", page.partition(titles[0])[2], re.MULTILINE) == [*root.list_commands(None)]


def code_of(page):
    """Code of a page: what is in backticks, and indented or fenced lines."""
    text = page.read_text(encoding="utf-8")
    yield from re.findall(r"`([^`\n]+)`", text)
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"^    (.+)$", text, re.MULTILINE)


def calls(page):
    for code in code_of(page):
        for called in re.findall(r"(?:^|[\s/])endocrine ([a-z][^|;&#>\\]*)", code):
            yield called.split("  ")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_a_page_names_exist(page, root):
    for called in calls(page):
        command, *rest = root, *called.split()
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        if hasattr(command, "commands"):
            # `dlq list|show` was cut at the bar: its first word must be there already.
            assert not rest or not rest[0].isalpha() or "ENDOCRINE" in called, called
            continue
        known = {name for one in command.params for name in option_names(one)} | {"--help"}
        named = set(re.findall(r"--[a-z][a-z0-9-]*", " ".join(rest)))
        assert named <= known, called


@pytest.mark.skipif(not (ROOT / ".venv" / ".runtime").exists(), reason="needs the environment that make install makes")
def test_make_shell_opens_a_shell_in_which_the_command_is_on_the_path():
    asked = "command -v endocrine; exit\n"
    environment = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": "/nonexistent"}
    shell = ["make", "-s", "-o", ".venv/.runtime", "shell"]
    done = subprocess.run(shell, cwd=ROOT, input=asked, env=environment, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{ROOT}/.venv/bin/endocrine"), done.stderr


def option_names(option):
    return [name for name in (*option.opts, *getattr(option, "secondary_opts", ())) if name.startswith("--")]


def test_the_hint_for_parquet_names_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["export"] == [PYARROW]
    assert INSTALL.endswith(f"-m pip install '{PYARROW}'")


def test_a_command_imports_its_own_module_alone_and_help_imports_all():
    for module in COMMANDS:
        alone = typer.Typer()
        alone.callback()(lambda: None)  # or typer takes a single command for the whole
        importlib.import_module(f"endocrine.pipeline.cli.{module}").register(alone)
        for name in typer.main.get_command(alone).commands:
            assert modules_for(name) == (module,), name
    assert modules_for("") == modules_for("--help") == modules_for("nonsense") == COMMANDS
    assert modules_for("--version") == ()
