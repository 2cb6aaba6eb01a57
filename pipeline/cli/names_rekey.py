"""`endocrine names rekey`: what was written under a name before it became an alias."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    UNCONFIRMED,
    Bootstrap,
    By,
    Json,
    bar,
    fail,
    on_broker,
    operator,
    registered_names,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group

if TYPE_CHECKING:
    from endocrine.pipeline.data.rekey_apply import Applied
    from endocrine.pipeline.data.rekey_plan import Plan
    from endocrine.pipeline.process.settings import Settings

WAIT_S = 30.0
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="A registered alias, or an id in another case.")]
Scope = Annotated[str | None, typer.Option(help="identity or project; needed where the name is in both.")]


def group() -> typer.Typer:
    """Return the group."""
    commands = command_group("What was written under a name before it became an alias of an id.")
    commands.command("plan")(plan)
    commands.command("apply")(apply)
    return commands


def plan(alias: Alias, scope: Scope = None, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show what lies under the alias, and what would become of it under its id. Reads only.

    Exit codes: 0 done, also where there is nothing; 1 an apply would be refused, or the name is not registered; 2
    invalid arguments, or the broker cannot be used.
    """
    found = _planned(settings_of(bootstrap), alias, scope)
    _show(found, as_json)
    if found.refused:
        raise typer.Exit(BROKEN)


def apply(
    alias: Alias,
    scope: Scope = None,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="An empty plan is no error.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Folder to write the report to, as JSON.")
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.1, help="Seconds to wait for workers to catch up, and for their answers.")
    ] = WAIT_S,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Move it: every state is adopted under the id, then ended under the old name. Can be run again after any failure.

    Exit codes: 0 done, also where there is nothing, with --allow-empty; 1 refused, nothing was changed; 2 invalid
    arguments, or the broker cannot be used; 3 incomplete: nothing is lost, run it again.
    """
    from endocrine.pipeline.data.ingest.produce import ProduceError
    from endocrine.pipeline.data.rekey_apply import apply_plan

    settings = settings_of(bootstrap)
    found = _planned(settings, alias, scope, wait_s=wait_s)
    if found.refused or found.is_empty:
        _end(found, None, report, as_json)
        if found.is_empty and not allow_empty:
            fail("nothing to do; --allow-empty makes that no error", BROKEN)
        raise typer.Exit(BROKEN if found.refused else 0)
    try:
        applied = on_broker(settings, apply_plan(settings, found, by=operator(by), within_s=wait_s))
    except ProduceError as error:
        fail(str(error))
    _end(found, applied, report, as_json)
    if applied.ended != "done":
        for one in applied.refused:
            typer.echo(f"{one['agent']} {one['key']}: {one['outcome']} ({one['reason']})", err=True)
        fail(f"{applied.ended}: {applied.reason}", BROKEN if applied.ended == "refused" else UNCONFIRMED)


def _end(found: "Plan", applied: "Applied | None", folder: Path | None, as_json: bool) -> None:
    """Show the report, and write it where a folder is named."""
    shown = found.as_json() | {"mode": "apply", "applied": None if applied is None else applied.as_json()}
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"rekey-{found.rekey_id[:12]}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
            (folder / name).write_bytes(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        except OSError as error:
            typer.echo(f"--report {folder}: {error.strerror}; the report is not written", err=True)
    if as_json:
        typer.echo(orjson.dumps(shown).decode())
        return
    _show(found, as_json=False)
    if applied is not None:
        typer.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(applied.outcomes.items())))


def _planned(settings: "Settings", alias: str, scope: str | None, *, wait_s: float | None = None) -> "Plan":
    """The plan. wait_s: seconds to wait until the workers have read all that lies under the old names by now."""
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.data.live_states import NotCaughtUp, caught_up, live_states
    from endocrine.pipeline.data.rekey_plan import READ, plan_of
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
    from endocrine.pipeline.replay.state_files import SnapshotError

    if scope not in (None, "identity", "project"):
        fail("--scope: expected identity or project")
    try:
        rules = load_policy(settings.policy, os.environ).document
    except PolicyFileError as error:
        fail(str(error))
    table, name = on_broker(settings, registered_names(settings)), alias.strip()
    scopes = [one for one in ("identity", "project") if scope in (None, one) and table.is_known(one, name)]
    if not scopes:
        fail(f"a name of {len(name)} characters is not registered; `endocrine names alias` makes it an alias", BROKEN)
    if len(scopes) > 1:
        fail("the name is an identity's and a project's; --scope says which is meant")
    agents = {agent.name: agent for agent in AGENTS if agent.name in READ}
    if wait_s is not None:
        try:
            on_broker(settings, caught_up(settings, list(agents.values()), wait_s))
        except NotCaughtUp as behind:
            fail(f"incomplete: {behind}; nothing was changed", UNCONFIRMED)
    with bar("changelogs") as progress:
        try:
            states = on_broker(settings, live_states(settings, agents, progress or (lambda done, total: None)))
        except SnapshotError as error:
            fail(str(error))
    return plan_of(
        table,
        scopes[0],
        name,
        states,
        notes_kept=rules.bonds.notes_kept,
        cards_kept=rules.feedback.cards_kept,
        max_record_bytes=settings.max_record_bytes,
    )


def _show(found: "Plan", as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found.as_json()).decode())
        return
    if found.is_empty:
        typer.echo("nothing to plan")
        return
    typer.echo(f"{found.scope} {', '.join(found.subjects)} -> {found.registered_id}")
    for agent, outcome in found.agents.items():
        if outcome != "nothing":
            typer.echo(f"  {agent}: {outcome}")
    for one in found.collisions:
        typer.echo(f"COLLISION {one['agent']} {one['key']}: {one['field']} REFUSED")
    for fault in found.integrity_errors:
        typer.echo(f"INTEGRITY ERROR {fault['fault']} REFUSED")
    if found.open_turns:
        typer.echo(f"OPEN TURNS {', '.join(found.open_turns)} REFUSED")
    typer.echo(f"{found.taken} taken, {found.merged} merged, {len(found.drops)} dropped (--json names each)")
