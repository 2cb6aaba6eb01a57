"""`endocrine memory ...`: memories of people and projects, their review and their lifecycle."""

import sys
from typing import Annotated, Any

import typer

from endocrine.pipeline.cli import memory_migrate
from endocrine.pipeline.cli.common import BROKEN, Bootstrap, By, Json, fail, from_views, print_json, settings_of
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.memory_answers import extract, reinforce
from endocrine.pipeline.cli.subjects import Limit, Reason, Subject, ended, named, sent
from endocrine.pipeline.cli.tables import print_table

DEFAULT_SHOWN = 50
MemoryId = Annotated[str, typer.Argument(metavar="MEMORY_ID", help="Id of the memory: `m-...`.")]
Type = Annotated[str | None, typer.Option(help="Of this type only.")]
Confidence = Annotated[float | None, typer.Option(min=0, max=1, help="Confidence, 0 to 1.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Memories of people and projects: candidates, reviews, lifecycle.")
    for name, run in (
        ("create", create),
        ("list", list_memories),
        ("show", show),
        ("update", update),
        ("queue", queue),
        ("extract", extract),
        ("reinforce", reinforce),
        ("promote", promote),
        ("reject", reject),
        ("supersede", supersede),
        ("invalidate", invalidate),
        ("opinion", opinion),
    ):
        group.command(name)(run)
    memory_migrate.register(group)
    app.add_typer(group, name="memory")


def create(
    subject: Subject,
    content: Annotated[str, typer.Argument(help="What the memory says, 1 to 2,000 characters.")],
    type: Annotated[
        str, typer.Option(help="identity, preference, project, episodic, knowledge or adaptation.")
    ] = "knowledge",
    slot: Annotated[
        str | None, typer.Option(help="What it gives the value of; the content is that, or `slot: value`.")
    ] = None,
    candidate: Annotated[bool, typer.Option("--candidate", help="For review, not in force.")] = False,
    confidence: Confidence = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Write a memory, and wait for its event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    command = {
        "kind": "memory_create",
        "type": type,
        "content": content,
        "slot": slot,
        "status": "candidate" if candidate else None,
        "confidence": confidence,
    }
    _write(subject, command, by, bootstrap, as_json=as_json)


def list_memories(
    subject: Subject,
    status: Annotated[str | None, typer.Option(help="candidate, active, superseded or invalid.")] = None,
    type: Type = None,
    limit: Limit = DEFAULT_SHOWN,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List the memories of a subject, the oldest first.

    Exit codes: 0 shown, also where there is none; 2 the read models are away, or invalid arguments.
    """
    _list(subject, status, type, limit, bootstrap, as_json=as_json)


def queue(
    subject: Subject,
    type: Type = None,
    limit: Limit = DEFAULT_SHOWN,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List the candidates that wait for a review, the oldest first.

    Exit codes: 0 shown, also where there is none; 2 the read models are away.
    """
    _list(subject, "candidate", type, limit, bootstrap, as_json=as_json)


def _list(
    subject: str, status: str | None, type: str | None, limit: int, bootstrap: str | None, *, as_json: bool
) -> None:
    from typing import get_args

    from endocrine.pipeline.views.redis import views
    from endocrine.schemas.vocabulary import MemoryStatus, MemoryType

    for name, given, known in (("--status", status, get_args(MemoryStatus)), ("--type", type, get_args(MemoryType))):
        if given is not None and given not in known:
            fail(f"{name}: {given!r}; expected one of {', '.join(known)}")
    settings = settings_of(bootstrap, reads=True)
    whom = named(settings, subject)
    found = from_views(lambda client: views.memories(client, whom, status=status, type=type), settings)
    if as_json:
        print_json({"items": found[:limit]})
        return
    columns = ("id", "type", "status", "slot", "confidence", "references", "conflict", "content")
    print_table(columns, [_row(one) for one in found[:limit]], whole=("id",))
    if len(found) > limit:
        print(f"and {len(found) - limit} later ones (--limit, or narrower filters)", file=sys.stderr)


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    return (
        one["memory_id"],
        one["type"],
        one["status"],
        one["slot"] or "",
        one["confidence"],
        one["reference_count"],
        one["open_conflict"] or "",
        one["content"],
    )


def show(subject: Subject, memory_id: MemoryId, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Show a memory.

    Exit codes: 0 shown, 1 there is none, 2 the read models are away.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap, reads=True)
    whom = named(settings, subject)
    found = from_views(lambda client: views.memory(client, whom, memory_id), settings)
    if found is None:
        fail(f"no memory {memory_id!r} of {subject!r}; a view may be a moment behind", BROKEN)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"{name}: {'(none)' if value is None else value}")


def update(
    subject: Subject,
    memory_id: MemoryId,
    content: Annotated[str | None, typer.Option(help="Its new content.")] = None,
    confidence: Confidence = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Refused (older_version) where the memory has a later one.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Change the content or the confidence of a candidate or an active memory, and wait for its event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed (also where nothing
    changes).
    """
    if content is None and confidence is None:
        fail("nothing to change; give --content or --confidence")
    told = {"content": content, "confidence": confidence, "version": version, "reason": reason}
    _write(subject, {"kind": "memory_update", "memory_id": memory_id, **told}, by, bootstrap, as_json=as_json)


def promote(
    subject: Subject,
    memory_id: MemoryId,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Make a candidate active, and wait for its event.

    Exit codes: 0 done, 1 refused (wrong_status, unknown_memory, open_conflict), 2 the broker is away or invalid
    arguments, 3 sent, not confirmed (also where it is active already).
    """
    _write(subject, _change("promote", memory_id, reason), by, bootstrap, as_json=as_json)


def reject(
    subject: Subject,
    memory_id: MemoryId,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Make a candidate invalid, so that it is not proposed again, and wait for its event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _write(subject, _change("reject", memory_id, reason), by, bootstrap, as_json=as_json)


def supersede(
    subject: Subject,
    memory_id: MemoryId,
    superseded_by: Annotated[str | None, typer.Option("--by-memory", help="Id of the memory in its place.")] = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Take an active memory out of force because another says it better, and wait for its event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    command = _change("supersede", memory_id, reason) | {"superseded_by": superseded_by}
    _write(subject, command, by, bootstrap, as_json=as_json)


def invalidate(
    subject: Subject,
    memory_id: MemoryId,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Make an active memory invalid, and wait for its event.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    _write(subject, _change("invalidate", memory_id, reason), by, bootstrap, as_json=as_json)


def opinion(
    subject: Subject,
    memory_id: MemoryId,
    held: Annotated[str, typer.Argument(metavar="OPINION", help="for: it holds; against: it does not.")],
    confidence: Annotated[float, typer.Option(min=0, max=1, help="How sure you are of that, 0 to 1.")] = 1.0,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Say what you hold of a memory, and wait for its event. The last opinion of each voter makes its strength.

    Exit codes: 0 done, 1 refused, 2 the broker is away or invalid arguments, 3 sent, not confirmed (also where it is
    the same opinion again).
    """
    settings = settings_of(bootstrap)
    value = {"memory_id": memory_id, "opinion": held, "confidence": confidence}
    event = sent(settings, named(settings, subject), value, by, "memory-events", "opinions")
    voted = event["kind"] == "voted"
    line = (
        f"{memory_id}: {event['votes_for']} of {event['votes_total']} for it, strength {event['strength']}"
        if voted
        else ""
    )
    ended(event, line, as_json=as_json)


def _change(name: str, memory_id: str, reason: str | None) -> dict[str, Any]:
    return {"kind": f"memory_{name}", "memory_id": memory_id, "reason": reason}


def _write(subject: str, command: dict[str, Any], by: str | None, bootstrap: str | None, *, as_json: bool) -> None:
    settings = settings_of(bootstrap)
    event = sent(settings, named(settings, subject), command, by, "memory-events")
    ended(event, f"{event['memory_id']} {event['kind']}: {event['new_status']}", as_json=as_json)
