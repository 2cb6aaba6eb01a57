"""The console script `endocrine`: one module per command, registered here."""

import gc
import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from endocrine.pipeline.process import stopping

if TYPE_CHECKING:
    import typer

    app: typer.Typer

COMMANDS = (
    "policy",
    "topics",
    "schemas",
    "ingest",
    "hook",
    "simulate",
    "worker",
    "seal_key",
    "run",
    "stack",
    "chat",
    "connect",
    "gateway",
    "keys",
    "views",
    "replay",
    "state",
    "snapshot",
    "project",
    "audit",
    "explain",
    "explain_signals",
    "incidents",
    "lag",
    "dlq",
    "names",
    "export",
)

ALONE = {"run": "run", "demo": "run", "worker": "worker", "gateway": "gateway", "connect": "connect"}
"""Commands that are waited for until they work, with the module of each: no other one is imported for them."""
_YOUNG_OBJECTS = 50_000
"""Between two walks of the garbage collector through young objects. Imports make a million that all stay: at the usual
700 a fifth to a third of their time went there."""


def main() -> None:
    """Run the command line; exit codes are each command's own."""
    stopping.from_the_start(sys.argv[1:])  # before anything slow is imported
    gc.set_threshold(_YOUNG_OBJECTS)
    from endocrine.pipeline.cli.app import app

    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in [ALONE[asked]] if asked in ALONE else COMMANDS:
        if importlib.util.find_spec(f"endocrine.pipeline.cli.{name}"):
            importlib.import_module(f"endocrine.pipeline.cli.{name}").register(app)
    app()


def __getattr__(name: str) -> Any:
    """`app` is imported when it is asked for: typer takes longer than a signal can wait."""
    if name == "app":
        from endocrine.pipeline.cli.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
