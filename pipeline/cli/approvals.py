"""`endocrine approvals list|approve|deny`: tool calls and held turns that wait for a person."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
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
    settings_of,
    shown_time,
    whose,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.subjects import Reason, sent
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings
    from endocrine.pipeline.views.redis.waiting import Waiting

Kind = Literal["call", "turn"]
Whose = Annotated[str, typer.Argument(metavar="IDENTITY", help="Whose call or turn it is.")]
What = Annotated[str, typer.Argument(metavar="ID", help="The CALL_ID; with --turn the AUDIT_ID of a held turn.")]
Turn = Annotated[bool, typer.Option("--turn", help="ID is that of a held turn.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Tool calls and held turns that wait for a person, each until its deadline.")
    group.command("list")(list_approvals)
    group.command("approve")(approve)
    group.command("deny")(deny)
    app.add_typer(group, name="approvals")


def list_approvals(
    kind: Annotated[Kind | None, typer.Option(help="Tool calls, or held turns, alone.")] = None,
    identity: Annotated[str | None, typer.Option(metavar="NAME", help="Of this person, by any name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Rows shown.")] = 50,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List what waits, the next deadline first: calls with the arguments that would run, turns with their prompt.

    What it is about is left out where the read models do not know its place, or the policy of the settings reads its
    arguments otherwise than the one it was decided under. Exit codes: 0 shown, also where there is none; 2 the broker
    or the read models are away, or invalid arguments.
    """
    settings = settings_of(bootstrap)
    identity = whose(settings, identity)
    found = _waiting(settings, kind, identity, limit)
    about = _subjects(settings, found)
    items = [
        {
            "kind": one.kind,
            "identity": one.identity,
            "id": one.call_id or one.audit_id,
            "audit_id": one.audit_id,
            "tool": one.call.get("tool"),
            "expires": one.expires,
            "about": subject,
        }
        for one, subject in zip(found, about, strict=True)
    ]
    if as_json:
        print_json({"items": items})
        return
    rows = [
        (
            str(item["kind"]),
            str(item["identity"]),
            str(item["id"]),
            str(item["tool"] or ""),
            shown_time(float(item["expires"])),
            _in_one_line(item["about"]),
        )
        for item in items
    ]
    print_table(("kind", "identity", "id", "tool", "until", "about"), rows, whole=("identity", "id"))


def approve(
    identity: Whose,
    what: What,
    turn: Turn = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Let a call run with the arguments that were judged, or admit a held turn, strict; wait for the decision.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed (also where it does
    not wait any more).
    """
    _decide("approve", identity, what, turn, reason, by, as_json, bootstrap)


def deny(
    identity: Whose,
    what: What,
    turn: Turn = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Deny a call, or refuse a held turn for good; wait for the decision.

    Exit codes: as of `approvals approve`.
    """
    _decide("deny", identity, what, turn, reason, by, as_json, bootstrap)


def _decide(
    kind: str,
    identity: str,
    what: str,
    turn: bool,
    reason: str | None,
    by: str | None,
    as_json: bool,
    bootstrap: str | None,
) -> None:
    settings = settings_of(bootstrap)
    identity = whose(settings, identity) or identity
    command = {"kind": f"{kind}_turn", "audit_id": what} if turn else {"kind": kind, "call_id": what}
    decided = sent(settings, identity, command | {"reason": reason}, by, "modulations" if turn else "tool-decisions")
    outcome = ("admitted" if decided["admitted"] else "refused") if turn else decided["decision"]
    if as_json:
        print_json(decided)
    else:
        why = decided["refusal"] if turn else decided["reason"]
        print(f"{what} of {identity}: {outcome}{f' ({why})' if why else ''}")
    if (kind == "approve") != (outcome in ("admitted", "allowed")):
        raise typer.Exit(BROKEN)


def _waiting(settings: "Settings", kind: str | None, identity: str | None, limit: int) -> "list[Waiting]":
    from endocrine.pipeline.gateway.pending import fits
    from endocrine.pipeline.views.redis import views, waiting
    from endocrine.pipeline.views.redis.keys import ViewKeys

    keys = ViewKeys(settings.prefix)

    async def read(client: Any) -> "list[Waiting]":
        found, place = list["Waiting"](), None
        while len(found) < limit:
            page = await views.page_places(client, keys.approvals(), limit - len(found), place, ascending=True)
            some = await waiting.approvals(client, keys, [member for _, member in page.places])
            found += [one for one in (fits(one, kind, identity) for one in some) if one is not None]
            place = page.next
            if place is None:
                break
        return found

    return from_views(read, settings)


def _subjects(settings: "Settings", found: "list[Waiting]") -> list[Any]:
    import os

    from endocrine.pipeline.gateway.pending import subjects_of
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    if not found:
        return []
    try:
        policy = load_policy(settings.policy, os.environ)
    except PolicyFileError as error:
        fail(str(error))
    return on_broker(settings, subjects_of(settings, lambda identity: policy, found))


def _in_one_line(about: Any) -> str:
    text = about if isinstance(about, str) else "" if about is None else orjson.dumps(about).decode()
    return " ".join(text.split())
