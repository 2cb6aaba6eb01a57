"""`endocrine state --at TIME`: any agent's table as of then."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from endocrine.pipeline.cli.collected import temp_dir, user_errors
from endocrine.pipeline.cli.common import (
    Bootstrap,
    bars,
    content_keys_on_record,
    fail,
    milliseconds,
    prompt_keys_of,
    settings_of,
    whose,
)
from endocrine.pipeline.core.time_format import EXPECTED
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.logs import read_history
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.state_files import Snapshots

At = Annotated[str, typer.Option(help=f"What the system knew then, by append time. {EXPECTED}.")]
Name = Annotated[str | None, typer.Option("--agent", help="Only this agent's table.")]
Identity = Annotated[str | None, typer.Option(help="Only states of this identity.")]
FormatOption = Annotated[str, typer.Option("--format", help="json (one object a line) or table.")]
SnapshotDir = Annotated[
    Path | None, typer.Option("--snapshot", help="A snapshot, or a folder of snapshots, to begin from.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("state")(state)


def state(
    at: At = "now",
    agent: Name = None,
    identity: Identity = None,
    form: FormatOption = "table",
    snapshot: SnapshotDir = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Rebuild the state of agents at a moment, by replay from the nearest snapshot or from the beginning.

    Exit codes: 0 done, 1 some of it cannot be rebuilt (why is on stderr), 2 it cannot be read, or invalid
    arguments.
    """
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.malloc import keep_memory

    set_up_logs("ERROR")
    keep_memory()
    settings = settings_of(bootstrap, reads=True)
    moment = milliseconds("--at", at)
    assert moment is not None
    if agent is not None and agent not in (known := [one.name for one in AGENTS]):
        fail(f"--agent {agent}: there is no such agent; expected one of {', '.join(known)}")
    if form not in ("json", "table"):
        fail(f"--format {form}: expected json or table")
    identity = whose(settings, identity)
    with user_errors(settings):
        problems = asyncio.run(_show(settings, moment, agent, identity, form, snapshot))
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)


async def _show(
    settings: Settings, moment: int, agent: str | None, identity: str | None, form: str, snapshot: Path | None
) -> list[str]:
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.replay.policy_history import PolicyHistory
    from endocrine.pipeline.replay.state_at import Traveller

    chosen = [one for one in AGENTS if agent in (None, one.name)]
    prompt_keys = prompt_keys_of(settings)
    topics = sorted({topic for one in chosen for topic in one.sources} | {"content-keys", "journal", "policies"})
    deployment = {"prefix": settings.prefix, "partitions": settings.partitions}
    with temp_dir() as folder, bars() as titled:
        logs = await read_history(
            settings, topics, RecordedSeals(), folder=folder, progress=titled("reading the topics")
        )
        traveller = Traveller(
            logs,
            PolicyHistory(logs, prompt_keys),
            partitions=settings.partitions,
            sizes=settings.sizes,
            snapshots=Snapshots(snapshot, deployment),
            keys=content_keys_on_record(settings, logs),
        )
        table = Table("agent", "key", "state", box=None, header_style="bold")
        for one in traveller.states(chosen, moment, identity):
            if form == "json":
                sys.stdout.buffer.write(orjson.dumps(one._asdict()) + b"\n")
            else:
                table.add_row(one.agent, one.key, orjson.dumps(one.state).decode())
        if form == "table":
            Console(width=None if sys.stdout.isatty() else 10_000).print(table)
        for unit, (batch, start) in traveller.starts.items():
            typer.echo(f"{unit}: after batch {batch}, from {start}", err=True)
    return traveller.problems
