"""`endocrine schemas export DIR`: JSON Schemas and the AsyncAPI document."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.group import command_group


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Schemas of every topic, for other programs.")
    group.callback()(_schemas)
    group.command("export")(export)
    app.add_typer(group, name="schemas")


def _schemas() -> None:
    # A callback keeps `export` a command of its own: typer folds a group that has only one.
    pass


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; made when missing.")],
) -> None:
    """Write a JSON Schema per topic (`<topic>-value.json`) and `asyncapi.json`. Needs no broker."""
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.data.asyncapi import export as write
    from endocrine.pipeline.process.settings import Settings

    try:
        written = write(directory, Settings(), AGENTS)
    except OSError as error:
        print(
            f"error: cannot write to {directory}: {error.strerror or error}; expected a folder to write files in",
            file=sys.stderr,
        )
        raise typer.Exit(1) from None
    print(f"{len(written)} files in {directory}")
