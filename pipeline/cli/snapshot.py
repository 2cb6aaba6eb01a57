"""`endocrine snapshot DIR`: the state of every agent now, for replay from here on."""

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
import typer

from endocrine.pipeline.cli.collected import user_errors
from endocrine.pipeline.cli.common import Bootstrap, bars, settings_of

Folder = Annotated[Path, typer.Argument(help="A new folder for this snapshot.")]
Json = Annotated[bool, typer.Option("--json", help="Print the manifest as one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("snapshot")(snapshot)


def snapshot(folder: Folder, bootstrap: Bootstrap = None, as_json: Json = False) -> None:
    """Write the states of all agents as of a batch number each, with hashes, while workers go on.

    Keep it with backups: `endocrine replay verify --snapshot` begins there where retention has taken what was before.
    Exit codes: 0 done, 2 the broker cannot be read or the folder cannot be used.
    """
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.version import code_version
    from endocrine.pipeline.replay.snapshot import take_snapshot

    set_up_logs("ERROR")
    settings = settings_of(bootstrap, reads=True)
    with user_errors(settings), bars() as titled:
        manifest = asyncio.run(
            take_snapshot(
                settings,
                folder,
                [agent.name for agent in AGENTS],
                version=code_version(settings.build),
                progress=titled("changelogs"),
            )
        )
    if as_json:
        typer.echo(orjson.dumps(manifest).decode())
        return
    units = manifest["units"]
    states = sum(about["states"] for about in units.values())
    typer.echo(f"{len(units)} units, {states} states in {folder}")
