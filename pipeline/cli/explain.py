"""`endocrine explain`: why a turn was as it was, for a person."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from endocrine.pipeline.cli.common import BROKEN, Bootstrap, fail, on_broker, settings_of, time_of, whose

if TYPE_CHECKING:
    from endocrine.pipeline.views.explain.find import Explained


class OutputFormat(StrEnum):
    """How to show it."""

    text = "text"
    json = "json"
    html = "html"


Turn = Annotated[str | None, typer.Argument(metavar="[AUDIT_ID]", help="Id of the turn.")]
Identity = Annotated[str | None, typer.Option(help="Whose turn.")]
At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="The turn of --identity in force at this event time: ISO 8601 (no zone: UTC), or seconds.",
    ),
]
Format = Annotated[OutputFormat, typer.Option("--format", help="text, json or html.")]
Output = Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    audit_id: Turn = None,
    identity: Identity = None,
    at: At = None,
    form: Format = OutputFormat.text,
    output: Output = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show a turn's audit bundle: what was decided, from what, why, and the records that prove it.

    Either AUDIT_ID, or --identity with --at. Reads only. Exit codes: 0 shown; 1 there is no such turn, or a record was
    altered; 2 it could not be read.
    """
    from endocrine.pipeline.views.explain.find import NotFound, by_audit_id, by_time

    ts = time_of("--at", at)
    settings = settings_of(bootstrap, reads=True)
    identity = whose(settings, identity)
    try:
        if audit_id is not None and ts is None:
            found = on_broker(settings, by_audit_id(settings, audit_id, identity))
        elif audit_id is None and identity is not None and ts is not None:
            found = on_broker(settings, by_time(settings, identity, ts))
        else:
            raise typer.BadParameter("give AUDIT_ID, or --identity ID together with --at TIME")
    except NotFound as error:
        fail(str(error), BROKEN)
    _put(found, form, output)
    if found.altered:
        raise typer.Exit(BROKEN)


def _put(found: "Explained", form: OutputFormat, output: Path | None) -> None:
    if form is OutputFormat.text and output is None:
        from rich.console import Console

        from endocrine.pipeline.views.explain.text import FILE_WIDTH, show

        show(found, Console(width=None if sys.stdout.isatty() else FILE_WIDTH))
        return
    content = _written(found, form)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        fail(f"{output}: cannot be written: {error.strerror}")


def _written(found: "Explained", form: OutputFormat) -> bytes:
    from endocrine.pipeline.views.explain.html import as_html
    from endocrine.pipeline.views.explain.text import as_text

    if form is OutputFormat.json:
        return orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return (as_html(found) if form is OutputFormat.html else as_text(found)).encode()
