"""`endocrine views`: the read models in Redis."""

import typer

from endocrine.pipeline.cli.common import Bootstrap
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.project import project


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group("The read models in Redis, which the gateway reads.")
    group.command("rebuild")(rebuild)
    app.add_typer(group, name="views")


def rebuild(bootstrap: Bootstrap = None) -> None:
    """Delete the read models and end; a projection that runs fills them again from the topics, as far as those reach.

    Exit codes: 0 deleted, 1 Redis does not answer, 2 the settings cannot be used.
    """
    project(rebuild=True, bootstrap=bootstrap)
