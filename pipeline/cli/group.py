"""Groups of commands, whose help lists each command with its whole first sentence."""

from typing import Any

import typer
from typer.core import TyperGroup

_WHOLE = 1000
"""Characters: longer than any first sentence, which click would cut to one line."""


class Group(TyperGroup):
    """A group whose help cuts nothing."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a list of the commands, each with its first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(self.command_rows(ctx))

    def command_rows(self, ctx: Any) -> list[tuple[str, str]]:
        """Return each command with its first sentence."""
        return [(name, self.commands[name].get_short_help_str(limit=_WHOLE)) for name in self.list_commands(ctx)]


def command_group(help: str) -> typer.Typer:
    """Return an empty group; without a command it prints its help."""
    return typer.Typer(cls=Group, no_args_is_help=True, help=help)
