"""`endocrine bonds list|show|events|check|cap|note|import`: the bond ledger."""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    UNCONFIRMED,
    Bootstrap,
    By,
    Json,
    fail,
    from_views,
    on_broker,
    operator,
    print_json,
    registered_names,
    settings_of,
    shown_time,
    time_of,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.subjects import sent
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.data.bond_import import Report
    from endocrine.pipeline.process.settings import Settings
    from endocrine.schemas.bonds import Bond

DEFAULT_SHOWN, MOST_SHOWN = 50, 500
_NAMED = 20
Identity = Annotated[str, typer.Argument(metavar="ID", help="The identity.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Rows shown.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("The bond ledger: phases, risk, message caps, notes.")
    group.command("list")(list_bonds)
    group.command("show")(show)
    group.command("events")(events)
    group.command("check")(check)
    group.command("cap")(cap)
    group.command("note")(note)
    group.command("import")(import_)
    app.add_typer(group, name="bonds")


def list_bonds(
    phase: Annotated[str | None, typer.Option(help="In this phase.")] = None,
    risk: Annotated[str | None, typer.Option(help="Of this risk level.")] = None,
    limit: Limit = DEFAULT_SHOWN,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List bonds, the last updated first.

    Exit codes: 0 shown, also where there is none; 2 the read models are away, or invalid arguments.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap, reads=True)

    async def read(client: Any) -> tuple[views.Bonds, int]:
        return await views.bonds(client, limit, phase=phase, risk=risk), await views.foreign_keys(client)

    found, foreign = from_views(read, settings)
    if as_json:
        print_json({"items": [entry.model_dump() for entry in found.entries], "foreign_keys": foreign})
        return
    columns = ("id", "phase", "risk", "turns", "messages", "cap", "notes", "updated")
    print_table(columns, [_row(entry) for entry in found.entries], whole=("id",))
    if found.next is not None:
        print(f"and older ones (--limit, up to {MOST_SHOWN}; or narrower filters)", file=sys.stderr)
    if foreign:
        print(
            f"{foreign} keys of another program are left alone; `endocrine bonds import` takes them over",
            file=sys.stderr,
        )


def _row(entry: "Bond") -> Sequence[Any]:
    return (
        entry.user_id,
        entry.phase,
        entry.risk_level,
        entry.turn_count,
        entry.daily_msg_count,
        entry.daily_msg_cap or "unlimited",
        len(entry.notes),
        shown_time(entry.last_updated),
    )


def show(identity: Identity, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show the bond of an identity.

    Exit codes: 0 shown, 1 there is none, 2 the read models are away.
    """
    entry = _entry(settings_of(bootstrap, reads=True), identity)
    if entry is None:
        fail(f"no bond of {identity!r}; a view may be a moment behind", BROKEN)
    if as_json:
        print_json(entry.model_dump())
        return
    for name, value in entry.model_dump().items():
        print(f"{name}: {value if value not in ([], {}) else '(none)'}")


def _entry(settings: "Settings", identity: str) -> "Bond | None":
    from endocrine.pipeline.views.redis import views

    whom = _person(settings, identity)
    return from_views(lambda client: views.bond(client, whom), settings)


def _person(settings: "Settings", identity: str) -> str:
    """The identity that is meant: an alias, or another case of a registered id, is that id."""
    from endocrine.pipeline.core.name_table import NameFault

    try:
        return on_broker(settings, registered_names(settings)).identity(identity)
    except NameFault as fault:
        fail(f"ID: {fault}")


def events(
    identity: Identity, limit: Limit = DEFAULT_SHOWN, as_json: Json = False, bootstrap: Bootstrap = None
) -> None:
    """Show what happened to a bond, newest first.

    Exit codes: 0 shown, also where there is nothing; 2 the read models are away.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap, reads=True)
    whom = _person(settings, identity)
    found = from_views(lambda client: views.bond_events(client, whom, limit), settings)
    if as_json:
        print_json({"items": found})
        return
    print_table(
        ("time", "event", "detail"), [(shown_time(one["timestamp"]), one["event_type"], one["detail"]) for one in found]
    )


def check(
    identity: Identity,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Event time of the message; now where left out.")
    ] = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Check whether a message would be within the identity's cap. Advice: what admits a turn is the modulation.

    Exit codes: 0 it would, 1 it would not, 2 the read models are away, or invalid arguments.
    """
    from endocrine.agents.bonds.cap import check_cap
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    moment = time_of("--at", at)
    settings = settings_of(bootstrap)
    try:
        day_s = load_policy(settings.policy, os.environ).document.bonds.day_s
    except PolicyFileError as error:
        fail(str(error))
    entry = _entry(settings, identity)
    cap, count, reset_at = (0, 0, 0.0)
    if entry is not None:
        cap, count, reset_at = entry.daily_msg_cap, entry.daily_msg_count, entry.daily_msg_reset_at
    found = check_cap(cap, count, reset_at, time.time() if moment is None else moment, day_s=day_s)
    answer = {"allowed": found.allowed, "remaining": found.remaining, "resets_at": found.resets_at, "cap": cap,
            "count": found.count, "as_of": None if entry is None else entry.last_updated}  # fmt: skip
    if as_json:
        print_json(answer)
    else:
        left = "no cap" if found.remaining is None else f"{found.remaining} of {cap} left"
        verdict = "allowed" if found.allowed else "not allowed"
        print(f"{verdict}: {left}; the count resets at {shown_time(found.resets_at)}")
    raise typer.Exit(0 if found.allowed else BROKEN)


def cap(
    identity: Identity,
    messages: Annotated[int, typer.Argument(metavar="N", min=0, help="Messages per day; 0: unlimited.")],
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Set the daily message cap of an identity, and wait for the ledger's event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _write(identity, {"kind": "set_cap", "cap": messages}, by, bootstrap, as_json=as_json)


def note(
    identity: Identity,
    text: Annotated[str, typer.Argument(help="The note; dated when it is added.")],
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Add a note to the bond of an identity, and wait for the ledger's event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _write(identity, {"kind": "add_note", "text": text}, by, bootstrap, as_json=as_json)


def _write(identity: str, command: dict[str, Any], by: str | None, bootstrap: str | None, *, as_json: bool) -> None:
    settings = settings_of(bootstrap)
    event = sent(settings, _person(settings, identity), command, by, "bond-events")
    if as_json:
        print_json(event)
    else:
        print(event["detail"])


def import_(
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="Redis to read; by default that of the read models.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what there is to take over.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Also where the ledger has an entry.")] = False,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Take over bonds that another program keeps in Redis: entries with their events, message caps and counts.

    Keys that the projection left alone are its own afterwards. A second run sends nothing twice. Exit codes: 0 all
    taken over, 1 some of it was not (why is shown), 2 Redis or the broker is away, 3 sent, not confirmed.
    """
    from redis.exceptions import RedisError

    from endocrine.pipeline.data.bond_import import Report, import_bonds, same_redis, scan
    from endocrine.pipeline.data.ingest.produce import ProduceError
    from endocrine.pipeline.views.redis.store import connect

    settings = settings_of(bootstrap)

    async def work() -> Report:
        own = same_redis(settings, redis)
        source = settings if redis is None else settings.model_copy(update={"redis_url": redis})
        async with connect(source) as client:
            if dry_run:
                report = Report()
                async for _ in scan(client, report):
                    pass
                return report
            return await import_bonds(settings, client, by=operator(by), replace=replace, own=own)

    try:
        report = on_broker(settings, work())
    except (ProduceError, ValueError) as error:
        fail(str(error))
    except RedisError as error:
        fail(f"the Redis to import from, or that of the read models, does not answer: {error}")
    if as_json:
        print_json({"dry_run": dry_run, **vars(report)})
    else:
        _print(report, dry_run=dry_run)
    if report.unconfirmed:
        raise typer.Exit(UNCONFIRMED)
    raise typer.Exit(BROKEN if report.refused or report.unreadable else 0)


def _print(report: "Report", *, dry_run: bool) -> None:
    print(f"{report.found} bonds of another program with {report.events} events; {report.ours} are ours already")
    if report.unreadable_events:
        print(f"{report.unreadable_events} events cannot be read and are left out")
    _named("entries that cannot be read", report.unreadable)
    if dry_run:
        print("nothing was done (--dry-run)")
        return
    print(f"{report.taken} taken over; {report.keys_taken_over} keys are the projection's from now on")
    for why, users in sorted(report.refused.items()):
        _named(f"not taken over: {why}" + (" (--replace takes them)" if why == "exists" else ""), users)
    _named("sent, not confirmed", report.unconfirmed)


def _named(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        print(f"{what}: {len(names)}: {', '.join(names[:_NAMED])}{more}")
