"""`endocrine names rekey`: what was written under a name before it became an alias."""

import os
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from endocrine.pipeline.cli.common import BROKEN, Bootstrap, Json, bar, fail, on_broker, registered_names, settings_of
from endocrine.pipeline.cli.group import command_group

if TYPE_CHECKING:
    from endocrine.pipeline.data.rekey_plan import Plan
    from endocrine.pipeline.process.settings import Settings

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="A registered alias, or an id in another case.")]
Scope = Annotated[str | None, typer.Option(help="identity or project; needed where the name is in both.")]


def group() -> typer.Typer:
    """The group."""
    commands = command_group("What was written under a name before it became an alias of an id.")
    commands.command("plan")(plan)
    commands.command("apply")(apply)
    return commands


def plan(alias: Alias, scope: Scope = None, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Say what lies under the alias, and what would become of it under its id. Reads only.

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
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Move it. Not possible yet: no agent can adopt a state, so that anything but an empty plan is refused.

    Exit codes: 0 nothing to do, with --allow-empty; 1 refused, nothing was changed; 2 invalid arguments, or the broker
    cannot be used.
    """
    found = _planned(settings_of(bootstrap), alias, scope)
    _show(found, as_json)
    if found.is_empty and allow_empty:
        return
    if found.is_empty:
        fail("nothing to do; --allow-empty makes that no error", BROKEN)
    moving = ", ".join(agent for agent, outcome in found.agents.items() if outcome != "nothing")
    fail(
        f"nothing was changed: {moving} cannot adopt states in this version, and half a move is none; until one can, "
        "`endocrine names release` makes the name itself again",
        BROKEN,
    )


def _planned(settings: "Settings", alias: str, scope: str | None) -> "Plan":
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.data.live_states import live_states
    from endocrine.pipeline.data.rekey_plan import BY_SUBJECT, FINER, plan_of
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
    agents = {agent.name: agent for agent in AGENTS if agent.name in (*BY_SUBJECT, *FINER)}
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
