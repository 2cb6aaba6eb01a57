"""The command line's root, to which `main` adds the commands."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def endocrine() -> None:
    """Endocrine: decide how to call the model, hold the limits, prove why."""
