"""The console script `endocrine`: one module per command, registered here."""

import importlib
import importlib.util

import typer

COMMANDS = (
    "policy",
    "topics",
    "schemas",
    "ingest",
    "simulate",
    "worker",
    "seal_key",
    "run",
    "chat",
    "connect",
    "replay",
    "state",
    "snapshot",
    "project",
    "audit",
    "explain",
    "explain_signals",
    "dlq",
    "export",
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def endocrine() -> None:
    """Endocrine: decide how to call the model, hold the limits, prove why."""


def main() -> None:
    """Run the command line; exit codes are each command's own."""
    for name in COMMANDS:
        if importlib.util.find_spec(f"pipeline.cli.{name}"):
            importlib.import_module(f"pipeline.cli.{name}").register(app)
    app()
