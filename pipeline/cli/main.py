"""The console script `endocrine`: one module per command, registered here."""

import gc
import importlib
import sys
from typing import TYPE_CHECKING, Any

from endocrine.pipeline.process import stopping

if TYPE_CHECKING:
    import typer

    app: typer.Typer

COMMANDS = (
    "policy",
    "launch_gate",
    "topics",
    "acls",
    "schemas",
    "ingest",
    "capture",
    "hook",
    "mcp",
    "simulate",
    "worker",
    "seal_key",
    "run",
    "stack",
    "chat",
    "connect",
    "gateway",
    "keys",
    "redteam",
    "views",
    "replay",
    "state",
    "snapshot",
    "backup",
    "repartition",
    "erase",
    "project",
    "audit",
    "explain",
    "explain_signals",
    "incidents",
    "approvals",
    "interactions",
    "bonds",
    "trust",
    "memory",
    "conflicts",
    "context",
    "links",
    "lag",
    "dlq",
    "names",
    "export",
)

NAMED_OTHERWISE = {"demo": "run", "up": "stack", "down": "stack", "status": "stack", "prompt-key": "seal_key"}
"""Commands whose module has another name."""
_YOUNG_OBJECTS = 50_000
"""Between two walks of the garbage collector through young objects. Imports make a million that all stay: at the usual
700 a fifth to a third of their time went there."""


def main() -> None:
    """Run the command line; exit codes are each command's own."""
    stopping.from_the_start(sys.argv[1:])  # before anything slow is imported
    gc.set_threshold(_YOUNG_OBJECTS)
    from endocrine.pipeline.cli.app import app

    for name in modules_for(sys.argv[1] if len(sys.argv) > 1 else ""):
        importlib.import_module(f"endocrine.pipeline.cli.{name}").register(app)
    app()


def modules_for(asked: str) -> tuple[str, ...]:
    """Return the modules to import for what was asked: a command's own, none for the version, otherwise all, as help
    needs.

    All of them take longer to import than most commands run.
    """
    if asked == "--version":
        return ()
    module = NAMED_OTHERWISE.get(asked, asked.replace("-", "_"))
    return (module,) if module in COMMANDS else COMMANDS


def __getattr__(name: str) -> Any:
    """`app` is imported when it is asked for: typer takes longer than a signal can wait."""
    if name == "app":
        from endocrine.pipeline.cli.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
