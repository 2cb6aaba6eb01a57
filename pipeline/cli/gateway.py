"""`endocrine gateway`: Endocrine over HTTP."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import Bootstrap, require_acls, settings_of

HOST = typer.Option(metavar="ADDRESS", help="Address to listen on. Default: ENDOCRINE_GATEWAY_HOST, else 127.0.0.1.")
PORT = typer.Option(
    min=0, max=65535, help="Port to listen on; 0: any free one. Default: ENDOCRINE_GATEWAY_PORT, else 8080."
)
READY_FILE = typer.Option(help="File to write the URL to once it serves.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gateway")(gateway)


def gateway(
    host: Annotated[str | None, HOST] = None,
    port: Annotated[int | None, PORT] = None,
    ready_file: Annotated[Path | None, READY_FILE] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Serve turns, tool calls, reads and events over HTTP until Ctrl-C; docs/gateway.md.

    Without an API key (`endocrine keys create`) on loopback only. Exit codes: 0 stopped as asked, 1 failed, 2 settings,
    policy or keys cannot be used.
    """
    from endocrine.pipeline.console.app import routes
    from endocrine.pipeline.console.settings import ConsoleSettings
    from endocrine.pipeline.gateway.server import main
    from endocrine.pipeline.gateway.settings import GatewaySettings
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.process.malloc import keep_started

    set_up_logs()
    settings, limits, console = settings_of(bootstrap), GatewaySettings(), ConsoleSettings()
    update = {name: given for name, given in (("host", host), ("port", port)) if given is not None}

    def on_ready(url: str) -> None:
        keep_started()
        print(
            f"gateway at {url}; pages at {url}/console; {url}/openapi.json names every path; Ctrl-C ends it",
            file=sys.stderr,
            flush=True,
        )
        if ready_file is not None:
            # At once with its content: whoever waits for the file reads the address from it.
            part = ready_file.with_name(ready_file.name + ".part")
            part.write_text(url)
            part.replace(ready_file)

    require_acls(settings, "gateway")
    raise typer.Exit(main(settings, limits.model_copy(update=update), on_ready, partial(routes, settings=console)))
