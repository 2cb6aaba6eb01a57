"""Commands about one subject resolve its name: an alias, another case of the id, an empty and an unregistered name."""

import inspect

import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import bonds, common, conflicts, memory, trust
from endocrine.pipeline.views.redis import views

COMMANDS = {
    "memory": (
        "create NAME x", "list NAME", "queue NAME", "show NAME m-0", "update NAME m-0 --content x",
        "opinion NAME m-0 for", "promote NAME m-0", "reject NAME m-0", "supersede NAME m-0", "invalidate NAME m-0",
    ),
    "trust": ("set NAME status phase x", "get NAME", "invalidate NAME status phase", "history NAME"),
    "conflicts": ("list NAME", "show NAME pad", "resolve NAME pad dismiss"),
    "bonds": ("show NAME", "events NAME", "check NAME", "cap NAME 5", "note NAME x"),
}  # fmt: skip
GROUPS = {"memory": memory, "trust": trust, "conflicts": conflicts, "bonds": bonds}
CASES = [(group, words) for group, commands in COMMANDS.items() for words in commands]


class Asked(Exception):
    """The subject that a command asked for: it got as far as it is to get."""


@pytest.fixture
def asked(monkeypatch, new_table):
    """Run a command with a name; the subject that it reads, or sends a command about. An error where it does not."""

    async def registered(settings):
        return new_table()

    def whom(*arguments, **_):
        """Of the views: the argument after the client. Of what is sent: the command's identity."""
        for argument in arguments[1:]:
            raise Asked(argument["identity"] if isinstance(argument, dict) else argument)

    for module in (common, bonds):
        monkeypatch.setattr(module, "registered_names", registered)
    for name in ("memories", "memory", "conflicts", "trusted", "bond", "bond_events"):
        monkeypatch.setattr(views, name, whom)
    for module in GROUPS.values():
        if hasattr(module, "from_views"):
            monkeypatch.setattr(module, "from_views", lambda work, settings: work(None))
    monkeypatch.setattr(trust, "checked", whom)
    for module in GROUPS.values():
        monkeypatch.setattr(module, "sent", whom)
    monkeypatch.setattr(trust, "_events", whom)

    def run(group, words, name):
        app = typer.Typer()
        app.callback()(lambda: None)
        GROUPS[group].register(app)
        arguments = [name if word == "NAME" else word for word in words.split()]
        found = CliRunner().invoke(app, [group, *arguments])
        return str(found.exception) if isinstance(found.exception, Asked) else found.stderr

    return run


@pytest.mark.parametrize(("group", "words"), CASES)
def test_a_command_takes_an_alias_for_its_id(asked, group, words):
    names = {"a.s.": "Ann", "ANN": "Ann", " Ann ": "Ann", "Bob": "Bob"}
    if group != "bonds":
        names |= {"project:P05": "project:p05-x", "Project: p05-X": "project:p05-x", "project:new": "project:new"}
    for name, subject in names.items():
        assert asked(group, words, name) == subject


@pytest.mark.parametrize(("group", "words"), CASES)
def test_a_command_about_nobody_ends_with_a_sentence(asked, group, words):
    for name in ("", " ", "$registry"):
        error = asked(group, words, name)
        assert error.splitlines()[-1].startswith(("error: SUBJECT: ", "error: ID: ")), error
        assert "expected" in error


def test_no_command_of_these_groups_is_left_out():
    for group, module in GROUPS.items():
        app = typer.Typer()
        module.register(app)
        of_subjects = {
            command.name
            for command in app.registered_groups[0].typer_instance.registered_commands
            if inspect.signature(command.callback).parameters.keys() & {"subject", "identity"}
        }
        assert of_subjects == {words.split()[0] for words in COMMANDS[group]}
