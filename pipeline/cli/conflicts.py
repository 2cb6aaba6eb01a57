"""`endocrine conflicts list|show|resolve`: values that disagree about one slot of a subject."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from endocrine.pipeline.cli.common import BROKEN, Bootstrap, By, Json, fail, from_views, print_json, settings_of
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.subjects import Reason, Subject, ended, named, sent
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings

Slot = Annotated[str, typer.Argument(metavar="SLOT", help="The slot: a memory's, or the key of trusted state.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Values that disagree: flagged, never merged, ended by a person.")
    group.command("list")(list_conflicts)
    group.command("show")(show)
    group.command("resolve")(resolve)
    app.add_typer(group, name="conflicts")


def list_conflicts(
    subject: Subject,
    every: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List the open conflicts of a subject, by slot.

    Exit codes: 0 shown, also where there is none; 2 the read models are away.
    """
    found = _read(settings := settings_of(bootstrap, reads=True), named(settings, subject), None if every else "open")
    if as_json:
        print_json({"items": found})
        return
    columns = ("slot", "status", "conflict", "values", "preferred", "action")
    rows = [
        (
            one["slot"],
            one["status"],
            one["conflict_id"],
            " / ".join(member["value"] for member in one["members"]),
            one["preferred"] or "",
            one["action"] or "",
        )
        for one in found
    ]
    print_table(columns, rows, whole=("conflict",))


def show(subject: Subject, slot: Slot, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show the latest conflict of a slot: its members in the order of authority.

    Exit codes: 0 shown, 1 there is none, 2 the read models are away.
    """
    found = _of_slot(settings := settings_of(bootstrap, reads=True), named(settings, subject), slot)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name != "members":
            print(f"{name}: {'(none)' if value is None else value}")
    columns = ("layer", "id", "status", "value")
    print_table(columns, [tuple(one[name] for name in columns) for one in found["members"]], whole=("id",))


def resolve(
    subject: Subject,
    slot: Slot,
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="supersede_others, no_action or dismiss (not about the same thing)."),
    ],
    winner: Annotated[str | None, typer.Option(help="Id of the member that wins; for supersede_others.")] = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """End the open conflict of a slot, and wait for its event.

    A memory cannot win over trusted state: change the state instead. Exit codes: 0 done, 1 refused or there is none, 2
    the broker or the read models are away or invalid arguments, 3 sent, not confirmed.
    """
    settings = settings_of(bootstrap)
    whom = named(settings, subject)
    found = _of_slot(settings, whom, slot)
    command = {
        "kind": "conflict_resolve",
        "slot": slot,
        "conflict_id": found["conflict_id"],
        "action": action,
        "winner": winner,
        "reason": reason,
    }
    event = sent(settings, whom, command, by, "conflict-events")
    ended(event, f"{event['conflict_id']} {event['kind']}: {event['action']}", as_json=as_json)


def _of_slot(settings: "Settings", subject: str, slot: str) -> dict[str, Any]:
    found = [one for one in _read(settings, subject, None) if one["slot"] == slot]
    if not found:
        fail(f"no conflict of {subject!r} about {slot!r}; a view may be a moment behind", BROKEN)
    return found[0]


def _read(settings: "Settings", subject: str, status: str | None) -> list[dict[str, Any]]:
    from endocrine.pipeline.views.redis import views

    return from_views(lambda client: views.conflicts(client, subject, status=status), settings)
