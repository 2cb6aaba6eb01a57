"""`endocrine explain-signals AUDIT_ID`: which signals made a turn's parameters, which were refused, and why."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

DERIVED = typer.Argument(metavar="[FILE|-]", help="Derived records as `endocrine simulate` prints them; else a broker.")
BOOTSTRAP = typer.Option(help="host:port of a broker; else ENDOCRINE_BOOTSTRAP.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain-signals")(explain_signals)


def explain_signals(
    audit_id: Annotated[str, typer.Argument(metavar="AUDIT_ID", help="The turn.")],
    derived: Annotated[Path | None, DERIVED] = None,
    bootstrap: Annotated[str | None, BOOTSTRAP] = None,
) -> None:
    """Say what became of every signal of a turn, and what they made of its parameters, revision by revision.

    Exit codes: 0 explained, 1 there is no modulation of that turn, 2 the records cannot be read.
    """
    from agents.modulation.explain import explain

    try:
        records = list(_of_lines(derived) if derived is not None else _of_broker(bootstrap))
    except (OSError, ValueError) as error:
        typer.echo(f"{derived or 'broker'}: cannot be read: {error}; expected modulations", err=True)
        raise typer.Exit(2) from None
    own = {record["revision"]: record for record in records if record["audit_id"] == audit_id}  # copies are equal
    if not own:
        typer.echo(f"{audit_id}: no modulation of this turn among {len(records)}", err=True)
        raise typer.Exit(1)
    for line in explain(audit_id, own.values()) or ["no signal was looked at, every parameter is the policy's default"]:
        typer.echo(line)


def _of_lines(path: Path) -> Iterator[Any]:
    lines: Iterable[bytes] = sys.stdin.buffer if str(path) == "-" else path.read_bytes().splitlines()
    for line in lines:
        record = orjson.loads(line)
        if isinstance(record, dict) and record.get("topic") == "modulations":
            yield record["value"]


def _of_broker(bootstrap: str | None) -> Iterator[Any]:
    from aiokafka.errors import KafkaError

    from pipeline.logs import set_up_logs
    from pipeline.replay.logs import read_logs
    from pipeline.settings import Settings

    set_up_logs("ERROR")
    settings = Settings() if bootstrap is None else Settings(bootstrap=bootstrap)
    try:
        logs = asyncio.run(read_logs(settings, ["modulations"]))
    except KafkaError as error:
        raise OSError(f"{settings.bootstrap}: {error}; is a broker running there?") from None
    for log in logs.values():
        yield from (orjson.loads(raw.value) for raw in log if raw.value is not None)
