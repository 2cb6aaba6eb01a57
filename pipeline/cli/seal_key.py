"""`endocrine seal-key`: a fresh key for the file that workers and connectors share."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("seal-key")(seal_key)


def seal_key() -> None:
    """Print a fresh seal key as a line for the file that ENDOCRINE_SEAL_KEY_FILE names.

    All workers and connectors of a deployment need the same file, and nobody else may read it. The first line's key
    seals, every line's is accepted: to rotate, append the new key everywhere, then move it to the top everywhere, then
    remove the old one.
    """
    from pipeline.seal_keys import new_key_line

    typer.echo(new_key_line())
