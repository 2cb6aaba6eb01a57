"""`endocrine links list|show|apply|reverse|dismiss`: which identities may be one actor's. Advice, reversible."""

import time
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    fail,
    from_views,
    on_broker,
    print_json,
    registered_names,
    settings_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.subjects import Reason, sent
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings

Of = Annotated[str, typer.Argument(metavar="IDENTITY", help="An identity, by any of its names.")]
One = Annotated[str, typer.Argument(metavar="A", help="One identity, by any of its names.")]
Other = Annotated[str, typer.Argument(metavar="B", help="The other one.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Links of identities that may be one actor's: advice, applied and reversed by people alone.")
    group.command("list")(list_links)
    group.command("show")(show)
    group.command("apply")(apply)
    group.command("reverse")(reverse)
    group.command("dismiss")(dismiss)
    app.add_typer(group, name="links")


def list_links(
    identity: Of,
    status: Annotated[str | None, typer.Option(help="observed, proposed, applied or dismissed.")] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List the links of an identity, the highest score first, and the group that applied ones make.

    Exit codes: 0 shown, also where there is none; 2 the broker or the read models are away, or invalid arguments.
    """
    from endocrine.pipeline.views.redis import views
    from endocrine.schemas.vocabulary import LinkStatus

    if status not in (None, *get_args(LinkStatus)):
        fail(f"--status: expected one of {', '.join(get_args(LinkStatus))}")
    settings = settings_of(bootstrap, reads=True)
    (name,) = _named(settings, identity)
    found = from_views(lambda client: views.links(client, name, status=status), settings)
    group = from_views(lambda client: views.link_group(client, name), settings)
    if as_json:
        print_json({"identity": name, "items": found, "group": group.members, "truncated": group.truncated})
        return
    rows = [
        (
            one["b"] if one["a"] == name else one["a"],
            f"{one['score']:.4f}".rstrip("0").rstrip("."),
            one["status"] + (" (weakened)" if one["weakened"] else ""),
            ", ".join(piece["kind"] for piece in one["evidence"] if piece["counted"]),
        )
        for one in found
    ]
    print_table(("other", "score", "status", "evidence"), rows, whole=("other",))
    if len(group.members) > 1:
        print(f"applied: {', '.join(group.members)}{', ...' if group.truncated else ''}")


def show(one: One, other: Other, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show the link of two identities with its evidence, in either order.

    Exit codes: 0 shown, 1 there is none, 2 the broker or the read models are away.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap, reads=True)
    a, b = _named(settings, one, other)
    found = from_views(lambda client: views.link(client, a, b), settings)
    if found is None:
        fail("no link of these two; a view may be a moment behind", BROKEN)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name != "evidence":
            print(f"{name}: {value}")
    rows = [
        (piece["kind"], piece["class"], str(piece["weight"]), str(piece.get("distance", "")),
         "yes" if piece["counted"] else "common" if piece["common"] else "no", _day(piece["last_ts"]))
        for piece in found["evidence"]
    ]  # fmt: skip
    print_table(("kind", "class", "weight", "distance", "counted", "last seen"), rows)


def apply(
    one: One, other: Other, reason: Reason = None, by: By = None, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Say that two identities are one actor's, and wait for the event. Views show the union; nothing is merged.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _send("link_apply", one, other, reason, by, as_json, bootstrap)


def reverse(
    one: One, other: Other, reason: Reason = None, by: By = None, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Take that back, and wait for the event. The evidence is kept.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _send("link_reverse", one, other, reason, by, as_json, bootstrap)


def dismiss(
    one: One, other: Other, reason: Reason = None, by: By = None, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Say that two identities are not one actor's: not proposed again without a new kind of evidence.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _send("link_dismiss", one, other, reason, by, as_json, bootstrap)


def _send(
    kind: str, one: str, other: str, reason: str | None, by: str | None, as_json: bool, bootstrap: str | None
) -> None:
    settings = settings_of(bootstrap)
    a, b = sorted(_named(settings, one, other))
    if a == b:
        fail("A and B are names of one identity; expected two")
    event = sent(settings, a, {"kind": kind, "b": b, "reason": reason}, by, "link-events")
    refused = event["kind"] == "refused"
    if as_json:
        print_json(event)
    elif not refused:
        print(f"{event['kind']}: {event['a']} and {event['b']}, score {event['score']}, now {event['new']}")
    if refused:
        if not as_json:
            fail(f"refused: {event['refusal']}", BROKEN)
        raise typer.Exit(BROKEN)


def _named(settings: "Settings", *names: str) -> list[str]:
    """The registered ids of identities, in the order given."""
    from endocrine.pipeline.core.name_table import NameFault

    table = on_broker(settings, registered_names(settings))
    try:
        return [table.identity(name) for name in names]
    except NameFault as fault:
        fail(f"IDENTITY: {fault}")


def _day(ts: float) -> Any:
    return time.strftime("%Y-%m-%d", time.gmtime(ts))
