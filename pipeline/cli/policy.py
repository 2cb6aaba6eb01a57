"""`endocrine policy`: check a policy file, and roll it out."""

import os
from pathlib import Path
from typing import Annotated

import typer

from endocrine.agents.policy.notes import notes
from endocrine.pipeline.cli import policy_rollout
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

group = command_group("Policies: check a file, put it in force, roll back.")


@group.callback()
def policy() -> None:
    """Check a policy file, put it in force, roll back."""


@group.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Policy file, laid over the shipped policy. Without it: that alone.")
    ] = None,
) -> None:
    """Print every mistake of FILE, one a line on stderr, and exit 1; or print the digest that decisions would name.

    What a valid policy is weaker in than it looks is a note on stderr.

    Where a value is malformed, rules between it and other values are checked once it is corrected; a file that is not
    YAML gives that mistake alone. Flags in the environment (ENDOCRINE_FLAG_NAME) count, as when a worker starts.
    """
    try:
        loaded = load_policy(file, os.environ)
    except PolicyFileError as error:
        for mistake in error.errors:
            typer.echo(mistake, err=True)
        raise typer.Exit(1) from None
    for note in notes(loaded.document):
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{file or 'the shipped policy'}: no mistake; decisions made under it name this digest:", err=True)
    typer.echo(loaded.digest)


def register(app: typer.Typer) -> None:
    """Add the group to the console script."""
    policy_rollout.add_to(group)
    app.add_typer(group, name="policy")
