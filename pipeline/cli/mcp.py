"""`endocrine mcp`: context, the memory queue, trusted state and explanations for an assistant, over stdio."""

import os
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import fail
from endocrine.pipeline.process.version import code_version

INSTALL = "pip install 'endocrine[mcp]' ./clients/python"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve)


def serve(
    identity: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose context is built; ENDOCRINE_IDENTITY, else `claude-user`."),
    ] = None,
) -> None:
    """Serve the Model Context Protocol on standard input and output: an assistant reads a gateway, and writes nothing.

    The gateway is at ENDOCRINE_URL, with the key ENDOCRINE_API_KEY (scopes read, content). Exit codes: 0 the assistant
    ended it, 2 a package is missing or the settings cannot be used.
    """
    try:
        from endocrine.pipeline.data.mcp_tools import server
        from endocrine_client import Endocrine
    except ImportError as error:
        fail(f"the package {error.name} is not installed: {INSTALL}")
    whose = identity or os.environ.get("ENDOCRINE_IDENTITY") or "claude-user"
    try:
        client = Endocrine(spool=False)
    except ValueError as error:
        fail(str(error))
    server(client, whose, code_version()).run("stdio")
