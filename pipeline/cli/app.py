"""The command line's root, to which `main` adds the commands."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.environment import SettingsError
from pipeline.version import code_version


class Root(TyperGroup):
    """Ends any command whose settings cannot be used with a line for each of them, and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for line in str(error).splitlines():
                print(f"error: {line}", file=sys.stderr)
            raise typer.Exit(2) from None


app = typer.Typer(cls=Root, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"endocrine {code_version(os.environ.get('ENDOCRINE_BUILD'))}")
        raise typer.Exit


@app.callback()
def endocrine(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Endocrine: decide how to call the model, hold the limits, prove why."""
