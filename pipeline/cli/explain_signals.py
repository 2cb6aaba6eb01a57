"""`endocrine explain-signals AUDIT_ID`: which signals made a turn's parameters, which were refused, and why."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import Bootstrap, fail, on_broker, settings_of

DERIVED = typer.Argument(metavar="[FILE|-]", help="Derived records as `endocrine simulate` prints them; else a broker.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain-signals")(explain_signals)


def explain_signals(
    audit_id: Annotated[str, typer.Argument(metavar="AUDIT_ID", help="The turn.")],
    derived: Annotated[Path | None, DERIVED] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the fate of every signal of a turn, and their effect on its parameters, revision by revision.

    Exit codes: 0 explained, 1 there is no modulation of that turn, 2 the records cannot be read.
    """
    from endocrine.agents.modulation.signal_report import explain

    records = list(_of_broker(bootstrap)) if derived is None else _of_file(derived)
    own = {record["revision"]: record for record in records if record["audit_id"] == audit_id}  # copies are equal
    if not own:
        typer.echo(f"{audit_id}: no modulation of this turn among {len(records)}", err=True)
        raise typer.Exit(1)
    for line in explain(audit_id, own.values()) or ["no signal was looked at, every parameter is the policy's default"]:
        typer.echo(line)


def _of_file(path: Path) -> list[Any]:
    try:
        return list(_of_lines(path))
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror or error}")
    except ValueError:
        fail(f"{path}: a line is not JSON; expected derived records as `endocrine simulate` prints them")


def _of_lines(path: Path) -> Iterator[Any]:
    lines: Iterable[bytes] = sys.stdin.buffer if str(path) == "-" else path.read_bytes().splitlines()
    for line in lines:
        record = orjson.loads(line)
        if isinstance(record, dict) and record.get("topic") == "modulations":
            yield record["value"]


def _of_broker(bootstrap: str | None) -> Iterator[Any]:
    from endocrine.pipeline.replay.logs import read_logs

    settings = settings_of(bootstrap, reads=True)
    for log in on_broker(settings, read_logs(settings, ["modulations"])).values():
        yield from (orjson.loads(raw.value) for raw in log if raw.value is not None)
