"""`endocrine seal-key`, `endocrine prompt-key`: fresh keys for the files that processes of a deployment share."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("seal-key")(seal_key)
    app.command("prompt-key")(prompt_key)


def seal_key() -> None:
    """Print a fresh seal key as a line for the file that ENDOCRINE_SEAL_KEY_FILE names.

    All workers and connectors of a deployment need the same file, and nobody else may read it. The first line's key
    seals, every line's is accepted: to rotate, append the new key everywhere, then move it to the top everywhere, then
    remove the old one.
    """
    from endocrine.pipeline.process.seal_keys import new_key_line

    typer.echo(new_key_line())


def prompt_key() -> None:
    """Print a fresh key of prompt hashes as a line for the file that ENDOCRINE_PROMPT_KEY_FILE names.

    Workers, and whoever replays, need the file. The part before the colon is the key's fingerprint: the policy names
    the key by it, as gating.prompt_hmac_key_id.
    """
    from endocrine.pipeline.process.prompt_keys import new_prompt_key_line

    typer.echo(new_prompt_key_line())
