"""`endocrine keys`: API keys of the gateway."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import BROKEN, fail
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table

SCOPES_HELP = "What it may do, comma separated: capture, read, content, review, operate."
FILE = typer.Option("--file", help="File of keys. Default: ENDOCRINE_GATEWAY_KEY_FILE, else in the data folder.")
IDENTITY_HELP = "Where a request's identity comes from: body (else the header endocrine-identity), header, user, fixed."


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group("API keys of the gateway; it reads the file again when it changes.")
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Argument(help="Name of the client: letters, digits, `.`, `_`, `-`.")],
    scopes: Annotated[str, typer.Option(help=SCOPES_HELP)] = "capture,read",
    rate: Annotated[float, typer.Option(min=0.001, help="Requests per second.")] = 100.0,
    burst: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 200,
    observe: Annotated[bool, typer.Option("--observe", help="Decide and record, but refuse nothing.")] = False,
    identity: Annotated[str, typer.Option(help=IDENTITY_HELP)] = "body",
    fixed: Annotated[str | None, typer.Option("--fixed", help="With --identity fixed: the one identity.")] = None,
    file: Annotated[Path | None, FILE] = None,
) -> None:
    """Make a key and print it, once; the file holds its SHA-256 only.

    Exit codes: 0 made, 1 the name is taken, 2 the file or an option cannot be used.
    """
    from pydantic import ValidationError

    from endocrine.pipeline.gateway.keys import Key, KeysError
    from endocrine.pipeline.gateway.keys import create as add

    if (identity == "fixed") != (fixed is not None):
        fail("--fixed goes with --identity fixed")
    asked = {
        "name": name,
        "sha256": "0" * 64,
        "scopes": [scope.strip() for scope in scopes.split(",") if scope.strip()],
        "rate": rate,
        "burst": burst,
        "mode": "observe" if observe else "enforce",
        "identity": identity,
        "fixed_identity": fixed,
    }
    try:
        key = Key.model_validate(asked)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        fail(f"--{problem['loc'][0]}: {problem['msg'].replace('Input should be ', 'expected ')}")
    try:
        secret = add(_file(file), key)
    except KeysError as error:
        fail(str(error), BROKEN)
    print(f"key {name!r}, shown only now; send it as `Authorization: Bearer ...` or `x-api-key`", file=sys.stderr)
    typer.echo(secret)


def list_keys(file: Annotated[Path | None, FILE] = None) -> None:
    """List keys, without what they are. Exit codes: 0 listed, 2 the file cannot be used."""
    from endocrine.pipeline.core.time_format import show_time
    from endocrine.pipeline.gateway.keys import KeysError, read

    try:
        keys = read(_file(file))
    except KeysError as error:
        fail(str(error))
    rows = [
        (
            key.name,
            ",".join(key.scopes),
            f"{key.rate:g}/s",
            key.mode,
            key.fixed_identity or key.identity,
            show_time(key.created),
            "valid" if key.revoked is None else f"revoked {show_time(key.revoked)}",
        )
        for key in keys
    ]
    if rows:
        print_table(("name", "scopes", "rate", "mode", "identity", "made", "state"), rows)
    else:
        typer.echo("no keys: the gateway serves this machine only; `endocrine keys create NAME` makes one")


def revoke(
    name: Annotated[str, typer.Argument(help="Name of the key.")], file: Annotated[Path | None, FILE] = None
) -> None:
    """Refuse a key from now on. Exit codes: 0 revoked, 1 there is no valid key of that name, 2 the file is unusable."""
    from endocrine.pipeline.gateway.keys import KeysError
    from endocrine.pipeline.gateway.keys import revoke as refuse

    try:
        refuse(_file(file), name)
    except KeysError as error:
        fail(str(error), BROKEN)
    typer.echo(f"key {name!r} is refused from now on; gateways know within a second")


def _file(option: Path | None) -> Path:
    from endocrine.pipeline.gateway.app import key_file
    from endocrine.pipeline.gateway.settings import GatewaySettings
    from endocrine.pipeline.process.settings import Settings

    return option or key_file(Settings(), GatewaySettings())
