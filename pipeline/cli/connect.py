"""`endocrine connect`: a connector as a process - model, tools, timekeeper."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import Bootstrap, require_acls, settings_of
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.connectors.names import CONNECTORS, TOGETHER
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.malloc import keep_started

READY_FILE = typer.Option(help="File to create once it works.")
_CODES = "Exit codes: 0 stopped as asked, 1 failed, 2 its settings cannot be used."
_HELP = {
    "model": "Call the language model: model-requests to model-replies. Needs OPENAI_API_KEY; docs/models.md. "
    + _CODES,
    "tools": "Run tool calls that the gate allowed, of turns that we answer (ENDOCRINE_TOOL_CALLS=all: of all turns). "
    + _CODES,
    "all": "All of them in one process, for one machine. Needs OPENAI_API_KEY; docs/models.md. " + _CODES,
    "timekeeper": "Tell agents that time passed, where a deadline would pass unnoticed. " + _CODES,
}


def register(app: typer.Typer) -> None:
    """Add the group; the connectors themselves are imported when they run."""
    group = command_group("Run a connector until SIGINT or SIGTERM.")
    for name in CONNECTORS:
        group.command(name, help=_HELP[name])(_command(name, CONNECTORS[name]))
    group.command("all", help=_HELP["all"])(_command("all", TOGETHER))
    app.add_typer(group, name="connect")


def _command(name: str, module: str) -> Callable[..., None]:
    def connect(ready_file: Annotated[Path | None, READY_FILE] = None, bootstrap: Bootstrap = None) -> None:
        set_up_logs()
        settings = settings_of(bootstrap)
        require_acls(settings, "connector")
        main = importlib.import_module(module).main

        def on_ready() -> None:
            keep_started()
            if ready_file is not None:
                ready_file.touch()

        raise typer.Exit(main(settings, on_ready))

    return connect
