"""The command line's root, to which `main` adds the commands."""

import os
import sys
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from endocrine.pipeline.cli.group import Group
from endocrine.pipeline.process.environment import SettingsError
from endocrine.pipeline.process.version import code_version

SECTIONS = {
    "Start on this machine": ("run", "demo", "up", "down", "status", "chat"),
    "Try without a broker": ("simulate", "schemas"),
    "Say why, and prove it": (
        "explain", "explain-signals", "incidents", "replay", "state", "snapshot", "audit", "launch-gate",
    ),
    "Decide": ("policy", "approvals", "trust", "memory", "conflicts", "links", "names", "bonds", "erase"),
    "Look at records": ("interactions", "context", "topics", "dlq", "lag", "export"),
    "Bring records in": ("ingest", "capture", "hook"),
    "Run the parts": ("worker", "connect", "gateway", "project", "views", "mcp"),
    "Keep it running": ("keys", "acls", "seal-key", "prompt-key", "backup", "repartition", "redteam"),
}  # fmt: skip
"""Commands as help lists them, by what one wants to do: first what one tries first."""
ORDER = tuple(name for names in SECTIONS.values() for name in names)
at_the_end = ExitStack()
"""What ends when the command of this process ends: a stack that was started for it alone."""


class Root(Group):
    """Ends any command whose settings cannot be used with a line for each of them, and exit code 2."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of `ORDER`."""
        return sorted(self.commands, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands section by section; those of none come last."""
        rows = dict(self.command_rows(ctx))
        placed = {
            title: [(name, rows.pop(name)) for name in names if name in rows] for title, names in SECTIONS.items()
        }
        for title, found in [*placed.items(), ("Others", [*rows.items()])]:
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            raise typer.Exit(2) from None
        finally:
            at_the_end.close()


# Plain help: rich reads brackets as markup, so `endocrine[export]` and `[FILE|-]` would lose what is in them.
app = typer.Typer(
    cls=Root, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"endocrine {code_version(os.environ.get('ENDOCRINE_BUILD'))}")
        raise typer.Exit


@app.callback()
def endocrine(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Endocrine: decide how to call the model, hold the limits, prove why."""
