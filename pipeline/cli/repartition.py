"""`endocrine repartition`: a drained deployment under a new prefix, with another number of partitions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from endocrine.pipeline.cli.backup import IN_DIRECTORY, Directory, checked_prefix, create_backup, run_reported
from endocrine.pipeline.cli.common import BROKEN, Bootstrap, Json, bars, fail, print_json, settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("repartition")(repartition)


def repartition(
    to: Annotated[str, typer.Option("--to", metavar="PREFIX", help="The new prefix, without records.")],
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic under it.")],
    stopped: Annotated[
        bool,
        typer.Option("--confirm-workers-stopped", help="Producers, workers, connectors and projections are stopped."),
    ] = False,
    directory: Directory = IN_DIRECTORY,
    bootstrap: Bootstrap = None,
    as_json: Json = False,
) -> None:
    """Move a deployment whose agents have read all there is to a new prefix with another number of partitions.

    It is backed up first; the backup is what is moved. Each subject keeps its states and its records in their order.
    Everything is read back: the records, and the state of each key. The old prefix is left as it is.

    Exit codes: 0 moved and verified, 1 refused (not drained, members, records under the new prefix) or not verified, 2
    usage, or the broker cannot be used, 3 no consistent cut could be had.
    """
    from endocrine.pipeline.data.backup.restore import Restored, RestoreRefused, refuse_members, restore

    if not stopped:
        fail("stop producers, workers, connectors and projections, then give --confirm-workers-stopped")
    settings = settings_of(bootstrap)
    prefix = settings.model_copy(update={"prefix": to}).prefix
    checked_prefix(prefix, "--to")
    if prefix == settings.prefix:
        fail(f"--to {prefix!r} is the prefix in use; expected another one")

    async def work() -> tuple[str, Restored]:
        await refuse_members(settings)
        stamp, verdict = await create_backup(settings, directory)
        if not verdict["valid"]:
            raise RestoreRefused(f"backup {stamp} is not valid: {', '.join(verdict['errors'][:3])}")
        with bars() as titled:
            return stamp, await restore(
                settings, directory / stamp, prefix, partitions=partitions, progress=titled("moving")
            )

    stamp, done = run_reported(settings, work())
    answer: dict[str, Any] = {
        "stamp": stamp,
        **done._asdict(),
        "partitions": partitions,
        "snapshot": str(done.snapshot),
    }
    if as_json:
        print_json(answer)
    else:
        _show(Path(directory), stamp, partitions, done)
    raise typer.Exit(0 if done.verified else BROKEN)


def _show(directory: Path, stamp: str, partitions: int, done: Any) -> None:
    typer.echo(f"{done.records} records and {done.states} states under {done.prefix!r}, on {partitions} partitions")
    typer.echo(f"backup: {stamp} in {directory}; keep it, it holds the old journal and audit chain")
    if not done.verified:
        typer.echo("NOT verified: start no workers")
        return
    typer.echo("verified: records, and the state of each key, are what they were")
    typer.echo(f"then: ENDOCRINE_PREFIX={done.prefix} ENDOCRINE_PARTITIONS={partitions} everywhere, start workers, ")
    typer.echo("      `endocrine project --rebuild`")
    typer.echo(f"prove what follows: endocrine replay verify --snapshot {done.snapshot}")
