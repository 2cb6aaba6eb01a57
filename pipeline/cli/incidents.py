"""`endocrine incidents`: what a person may want to look at, newest first."""

from typing import Annotated

import orjson
import typer

from endocrine.pipeline.cli.common import (
    Bootstrap,
    Json,
    Since,
    Until,
    bar,
    fail,
    on_broker,
    settings_of,
    time_of,
    whose,
)
from endocrine.pipeline.cli.tables import print_table

DEFAULT_SHOWN, MOST_SHOWN = 50, 500
Kind = Annotated[str | None, typer.Option(help="Of this kind: tool_blocked, drift_lock, guardian_veto, moderation.")]
Function = Annotated[str | None, typer.Option("--function", help="For this function that a model asked for.")]
Identity = Annotated[str | None, typer.Option(help="Of this identity.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Rows shown.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("incidents")(incidents)


def incidents(
    kind: Kind = None,
    function: Function = None,
    identity: Identity = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_SHOWN,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List incidents of all partitions, newest first: blocked tools, vetoes, moderation, drift locks.

    Exit codes: 0 shown, also where there is none; 2 the broker cannot be read or invalid arguments.
    """
    from typing import get_args

    from endocrine.pipeline.core.time_format import show_time
    from endocrine.pipeline.views.status.incidents import read_incidents
    from endocrine.schemas.vocabulary import IncidentKind

    if kind is not None and kind not in get_args(IncidentKind):
        fail(f"--kind: a text of {len(kind)} characters; expected one of {', '.join(get_args(IncidentKind))}")
    after, before = time_of("--since", since), time_of("--until", until)
    settings = settings_of(bootstrap, reads=True)
    identity = whose(settings, identity)
    with bar("incidents") as progress:
        work = read_incidents(
            settings,
            lambda one: (
                kind in (None, one.kind) and function in (None, one.attempted) and identity in (None, one.identity)
            ),
            most=limit,
            since=after,
            until=before,
            progress=progress,
        )
        found = on_broker(settings, work)
    if as_json:
        for at, one in found.newest:
            typer.echo(orjson.dumps({"append_time": show_time(at), **one.model_dump()}).decode())
        return
    rows = [
        (show_time(at), one.kind, one.identity, one.audit_id, one.attempted, one.reason) for at, one in found.newest
    ]
    if rows:
        print_table(("time", "kind", "identity", "turn", "function", "reason"), rows, whole=("turn",))
    total = sum(found.counts.values())
    kinds = ", ".join(f"{count} {name}" for name, count in found.counts.most_common())
    typer.echo(f"{total} incidents" + (f" ({kinds})" if total else ""))
    if total > len(rows):
        typer.echo(f"and {total - len(rows)} older ones are not shown (--limit, up to {MOST_SHOWN}; --since, --kind)")
    if found.unreadable:
        typer.echo(f"{found.unreadable} records of the topic are no incidents of ours and were passed over", err=True)
