"""`endocrine names`: ids of people and projects, and their aliases."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from endocrine.pipeline.cli import names_rekey
from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    confirmed,
    fail,
    on_broker,
    operator,
    registered_names,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings

ScopeName = Literal["identity", "project"]
Scope = Annotated[ScopeName, typer.Option(help="Whose names: people and actors (identity), or projects.")]
AnyScope = Annotated[ScopeName | None, typer.Option("--scope", help="Of this scope alone.")]
Wait = Annotated[float, typer.Option("--wait", min=0.1, help="Seconds to wait for the outcome of each command.")]
WAIT_S = 10.0


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = command_group("Ids of people and projects, and their aliases: every door takes one for the other.")
    group.command("register")(register_id)
    group.command("alias")(alias)
    group.command("release")(release)
    group.command("list")(list_names)
    group.command("show")(show)
    group.command("detect")(detect)
    group.command("check")(check)
    group.command("import")(import_names)
    group.add_typer(names_rekey.group(), name="rekey")
    app.add_typer(group, name="names")


def register_id(
    registered_id: Annotated[str, typer.Argument(metavar="ID", help="The id; it never changes.")],
    aliases: Annotated[list[str] | None, typer.Option("--alias", help="A further name of it; may be repeated.")] = None,
    scope: Scope = "project",
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    roots: Annotated[
        list[str] | None,
        typer.Option("--root", metavar="SOURCE[:SUBPATH]", help="Where its files lie; may be repeated."),
    ] = None,
    by: By = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Register an id, then its aliases, and wait until the registry has them.

    Exit codes: 0 registered, or was already; 1 refused: the name means another id; 2 invalid arguments, or the broker
    cannot be used; 3 sent, but no worker has answered yet.
    """
    from endocrine.pipeline.data.names import registration

    who, ts = operator(by), time.time()
    places = None if roots is None else [_root(text) for text in roots]
    commands = [registration(scope, registered_id, registered_id, by=who, ts=ts, description=description, roots=places)]
    commands += [registration(scope, name, registered_id, by=who, ts=ts) for name in aliases or ()]
    _send(settings_of(bootstrap), commands, wait_s, as_json)


def _root(text: str) -> dict[str, str]:
    source, _, subpath = text.partition(":")
    return {"source": source, "subpath": subpath}


def alias(
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The further name.")],
    registered_id: Annotated[str, typer.Argument(metavar="ID", help="A registered id.")],
    scope: Scope = "project",
    by: By = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Register an alias of a registered id. Exit codes as of `names register`."""
    from endocrine.pipeline.data.names import registration

    command = registration(scope, name, registered_id, by=operator(by), ts=time.time())
    _send(settings_of(bootstrap), [command], wait_s, as_json)


def release(
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias; an id is never released.")],
    scope: Scope = "project",
    by: By = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Release an alias: the name is itself from now on, and free. Exit codes as of `names register`."""
    from endocrine.pipeline.data.names import release as released

    _send(settings_of(bootstrap), [released(scope, name, by=operator(by), ts=time.time())], wait_s, as_json)


def list_names(scope: AnyScope = None, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """List registered ids, each with its aliases. Exit codes: 0 shown, 2 the broker cannot be used."""
    table = on_broker(settings := settings_of(bootstrap), registered_names(settings))
    entries = [entry for (kind, _), entry in sorted(table.entries.items()) if scope in (None, kind)]
    if as_json:
        for entry in entries:
            typer.echo(orjson.dumps(entry).decode())
        return
    aliases: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry["kind"] == "alias" and entry["released_from"] is None:
            aliases.setdefault((entry["scope"], entry["registered_id"].lower()), []).append(entry["name"])
    rows = [
        (entry["scope"], entry["name"], ", ".join(aliases.get((entry["scope"], entry["name"].lower()), ())),
         entry["description"] or "")
        for entry in entries if entry["kind"] == "id"
    ]  # fmt: skip
    if rows:
        print_table(("scope", "id", "aliases", "description"), rows)
    typer.echo(f"{len(rows)} ids")


def show(
    name: Annotated[str, typer.Argument(help="An id or an alias, in any case.")],
    scope: AnyScope = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what a name means. Exit codes: 0 shown, 1 it is not registered, 2 the broker cannot be used."""
    table = on_broker(settings := settings_of(bootstrap), registered_names(settings))
    found = [
        table.entries.get((kind, name.strip().lower())) for kind in ("identity", "project") if scope in (None, kind)
    ]
    entries = [entry for entry in found if entry is not None]
    for entry in entries:
        if as_json:
            typer.echo(orjson.dumps(entry).decode())
            continue
        meant = "is a registered id" if entry["kind"] == "id" else f"means {entry['registered_id']}"
        if entry["released_from"] is not None:
            meant = f"is an alias of {entry['registered_id']} no more"
        typer.echo(f"{entry['scope']} {entry['name']} {meant} (by {entry['by']})")
    if not entries:
        fail(f"a name of {len(name.strip())} characters is not registered; it means itself", BROKEN)


def detect(
    path: Annotated[Path, typer.Argument(help="A folder or file; left out: where you are.")] = Path(),
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Detect the project whose registered root holds a path: the longest root, compared by component.

    Exit codes: 0 found, 1 no root holds it, 2 the broker cannot be used.
    """
    from endocrine.pipeline.data.names import project_of

    table = on_broker(settings := settings_of(bootstrap), registered_names(settings))
    project = project_of(table, os.path.abspath(path))
    if as_json:
        typer.echo(orjson.dumps({"project": project}).decode())
    elif project is not None:
        typer.echo(project)
    if project is None:
        fail("no registered root holds this path; `endocrine names register ID --root FOLDER` adds one", BROKEN)


def check(as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """List aliases that count as unregistered: of another alias, or of what is not registered.

    Exit codes: 0 there is none, 1 there are, 2 the broker cannot be used.
    """
    table = on_broker(settings := settings_of(bootstrap), registered_names(settings))
    faults = table.faults()
    if as_json:
        typer.echo(orjson.dumps({"names": len(table.entries), "faults": faults}).decode())
    else:
        for one in faults:
            typer.echo(f"{one['scope']} {one['name']}: {one['fault']} ({one['registered_id']})")
        typer.echo(f"{len(table.entries)} names, {len(faults)} faults")
    if faults:
        raise typer.Exit(BROKEN)


def import_names(
    file: Annotated[Path, typer.Argument(metavar="FILE", help='JSON: {"projects": [{"id", "aliases", ...}]}.')],
    by: By = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Register all names of a file, or none where one would be refused. Exit codes as of `names register`."""
    from pydantic import ValidationError

    from endocrine.pipeline.data.names import ImportedNames, imported, refusals

    try:
        names = ImportedNames.model_validate_json(file.read_bytes())
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        fail(f"{file}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}")
    settings = settings_of(bootstrap)
    commands = imported(names, by=operator(by), ts=time.time())
    found = refusals(on_broker(settings, registered_names(settings)), commands)
    for line in found:
        typer.echo(f"error: {line}", err=True)
    if found:
        fail(f"{file}: nothing was registered", BROKEN)
    _send(settings, commands, wait_s, as_json)


def _send(settings: "Settings", commands: Sequence[dict[str, Any]], wait_s: float, as_json: bool) -> None:
    """Send, wait, show; ends the command where it is refused or not confirmed."""
    from endocrine.pipeline.data.names import refusals, sent
    from endocrine.pipeline.process.seal_keys import known_seals

    registrations = [one for one in commands if one["kind"] == "register_name"]
    table = on_broker(settings, registered_names(settings))
    if found := refusals(table, registrations):
        fail(found[0], BROKEN)
    outcomes = confirmed(settings, sent(settings, known_seals(settings), table, commands, wait_s))
    for outcome in outcomes:
        if as_json:
            typer.echo(orjson.dumps(outcome).decode())
        elif outcome["kind"] != "refused":
            typer.echo(f"{outcome['kind']}: {outcome['scope']} {outcome['name']}")
    last = outcomes[-1]
    if last["kind"] == "refused":
        holder = f", it means {last['holder']!r}" if last["holder"] else ""
        fail(f"{last['scope']} {last['name']!r}: {last['reason']}{holder}", BROKEN)
