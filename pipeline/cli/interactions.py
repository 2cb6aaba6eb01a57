"""`endocrine interactions list|show`: turns as summaries, and one of them with its text."""

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    Json,
    fail,
    from_views,
    on_broker,
    print_json,
    registered_names,
    settings_of,
    time_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Turns: lengths, counts and modes of many, the text of one.")
    group.command("list")(list_turns)
    group.command("show")(show)
    app.add_typer(group, name="interactions")


def list_turns(
    identity: Annotated[str | None, typer.Option(metavar="NAME", help="Of this person, by any name.")] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Of this project, by any name.")] = None,
    session_id: Annotated[str | None, typer.Option("--session", metavar="ID", help="Of this session.")] = None,
    client: Annotated[str | None, typer.Option(help="Opened by this program.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Opened then or later: ISO 8601 (no zone: UTC), or seconds.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Rows shown.")] = 50,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List turns, newest first, without prompts and answers.

    Exit codes: 0 shown, also where there is none; 2 the broker or the read models are away, or invalid arguments.
    """
    from endocrine.pipeline.core.name_table import NameFault
    from endocrine.pipeline.views.redis.keys import ViewKeys
    from endocrine.pipeline.views.turns import listed_turns

    begun = time_of("--since", since)
    settings = settings_of(bootstrap, reads=True)
    names = on_broker(settings, registered_names(settings))
    try:
        identity = None if identity is None else names.identity(identity)
        project = names.project(project)
    except NameFault as fault:
        fail(str(fault))
    keys, wanted = ViewKeys(settings.prefix), {"project": project, "session_id": session_id, "client": client}
    place = keys.turns(identity, None if identity is not None else project)
    items, _ = from_views(lambda redis: listed_turns(redis, keys, names, place, wanted, begun, limit), settings)
    if as_json:
        print_json({"items": items})
        return
    columns = ("audit_id", "identity", "project", "mode", "finish", "prompt_chars", "response_chars", "status")
    rows = [tuple("" if one[name] is None else str(one[name]) for name in columns) for one in items]
    print_table(columns, rows, whole=("audit_id", "identity"))


def show(
    audit_id: Annotated[str, typer.Argument(metavar="AUDIT_ID", help="The turn.")],
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show a turn with its prompt and answer, as far as their topic still has them.

    Exit codes: 0 shown, 1 there is no such turn, or its text is not on its topic any more; 2 the broker or the read
    models are away.
    """
    from endocrine.pipeline.views.redis import views
    from endocrine.pipeline.views.redis.keys import ViewKeys
    from endocrine.pipeline.views.turns import is_erased, summary_of

    settings = settings_of(bootstrap, reads=True)
    turn = from_views(lambda client: views.turn(client, ViewKeys(settings.prefix), audit_id), settings)
    if turn is None:
        fail(f"no turn {audit_id!r} in the read models; a view may be a moment behind", BROKEN)
    if is_erased(on_broker(settings, registered_names(settings)), turn):
        fail(f"turn {audit_id!r} is of an identity that was erased", BROKEN)
    opened, closed = (_value(settings, turn.get(name)) for name in ("opened", "closed"))
    shown = summary_of(audit_id, turn)
    shown |= {name: opened.get(name) for name in ("prompt", "context_pack")} | {"response": closed.get("response")}
    if as_json:
        print_json(shown)
    else:
        for name, value in shown.items():
            if value is not None:
                print(f"{name}: {value}")
    if any(part in turn and not value for part, value in (("opened", opened), ("closed", closed))):
        fail(f"the text of {audit_id!r} is not on its topic any more (retention)", BROKEN)


def _value(settings: "Settings", part: dict[str, Any] | None) -> dict[str, Any]:
    """The record at the place that the read model names; empty where it is not there any more."""
    from endocrine.pipeline.gateway.places import records_at

    if part is None:
        return {}
    place = ("interactions", *part["at"])
    raw = on_broker(settings, records_at(settings, [place])).get(place)
    return {} if raw is None or raw.value is None else dict(orjson.loads(raw.value))
