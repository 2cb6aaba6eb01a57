"""`endocrine dlq list|show|redrive|discard`: what could not be processed, and what people do with it."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    Since,
    Until,
    bar,
    fail,
    on_broker,
    operator,
    settings_of,
    shown_time,
    time_of,
    whose,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.pipeline.data.dead_letters.letters import Letter
    from endocrine.pipeline.data.dead_letters.select import Filter
    from endocrine.pipeline.process.settings import Settings

DEFAULT_SHOWN, MOST_SHOWN = 50, 500
PlaceArgument = Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="As `dlq list` shows it.")]
MaybePlace = Annotated[
    str | None, typer.Argument(metavar="[TOPIC/PARTITION/OFFSET]", help="One dead letter, instead of filters.")
]
Topic = Annotated[str | None, typer.Option(help="Dead letters of this topic (with or without .dlq).")]
Kind = Annotated[str | None, typer.Option(help="Of this kind: not_json, invalid, misfit, conflicting_id, ...")]
Identity = Annotated[str | None, typer.Option(help="Of this identity.")]
Id = Annotated[str | None, typer.Option("--id", help="Of the record with this id (or topic/partition/offset).")]
Reason = Annotated[str | None, typer.Option(help="Why, for the record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it, where more than one is meant. Without it: dry run.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Dead letters: what could not be processed. List, show, send again.")
    group.command("list")(list_letters)
    group.command("show")(show)
    group.command("redrive")(redrive)
    group.command("discard")(discard)
    app.add_typer(group, name="dlq")


def list_letters(
    topic: Topic = None,
    kind: Kind = None,
    identity: Identity = None,
    id_: Id = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Rows shown.")] = DEFAULT_SHOWN,
    everything: Annotated[bool, typer.Option("--all", help="Those that were discarded, too.")] = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show counts by topic and kind, then the dead letters, newest first: lengths, never contents."""
    from endocrine.pipeline.data.dead_letters.select import counts, row

    settings = settings_of(bootstrap, reads=True)
    letters = _look(settings, _filter(settings, topic, kind, identity, id_), since, until)
    hidden = 0 if everything else sum(letter.status == "discarded" for letter in letters)
    shown = [letter for letter in letters if everything or letter.status != "discarded"]
    if as_json:
        totals = [{"topic": name, "kind": kind, "count": count} for name, kind, count in counts(shown)]
        found = {"total": len(shown), "discarded_hidden": hidden, "counts": totals}
        _json(found | {"letters": [row(letter) for letter in shown[:limit]]})
        return
    if shown:
        print_table(("count", "topic", "kind"), [(count, name, kind_) for name, kind_, count in counts(shown)])
        print()
        rows = [row(letter) for letter in shown[:limit]]
        print_table(_COLUMNS, [[one[name] for name in _COLUMNS] for one in rows], whole=("place",))
        print()
    print(f"{len(shown)} dead letters" + (f", and {hidden} discarded (--all)" if hidden else ""))
    if len(shown) > limit:
        print(f"and {len(shown) - limit} older ones (--limit, up to {MOST_SHOWN}; or narrower filters)")


_COLUMNS = ("time", "place", "kind", "status", "bytes", "identity", "id")


def show(
    place: PlaceArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Bytes and headers as they are, secrets included.")] = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show one dead letter: why it was refused, its headers and value, and what was done with it. Redacted unless
    --raw."""
    from endocrine.pipeline.core.records import ERROR, ERROR_KIND, ORIGIN
    from endocrine.pipeline.data.dead_letters.show import summary as telling
    from endocrine.pipeline.process.policy_files import shipped_policy

    settings = settings_of(bootstrap, reads=True)
    letter, record = _one(settings, place)
    shown = telling(letter, record, shipped_policy().document.gating, bare=raw)
    if as_json:
        _json(shown)
        return
    for name in ("place", "time", "kind", "reason", "id", "identity", "key", "status", "copies"):
        print(f"{name}: {'(none)' if shown[name] is None else shown[name]}")
    if letter.origin is not None:
        print("first read at: {}/{}/{}".format(*letter.origin))
    for name, content in shown["headers"].items():
        if name not in (ERROR, ERROR_KIND, ORIGIN):  # printed above
            print(f"header {name}: {'(null)' if content is None else content}")
    for action in letter.actions:
        print(f"{action.action} by {action.by} at {shown_time(action.ts)}"
              + (f": {action.reason}" if action.reason else ""))  # fmt: skip
    value = shown["value"]
    if value is None or value == "":
        print("value: (none)" if value is None else "value: (empty)")
    else:
        print(f"value ({shown['bytes']} bytes, {shown['encoding']}):")
        print(value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    if letter.status == "open":
        print(f"`endocrine dlq redrive {letter.place}` sends it again, `endocrine dlq discard {letter.place}` hides it")


def redrive(
    place: MaybePlace = None,
    topic: Topic = None,
    kind: Kind = None,
    identity: Identity = None,
    id_: Id = None,
    since: Since = None,
    until: Until = None,
    by: By = None,
    reason: Reason = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were redriven or discarded before.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Send dead letters again: same bytes, key, partition and id, without the headers that say why they were refused.

    What is still wrong with them comes back as a new dead letter. Who and when is put on record in `dlq-actions`.
    """
    settings = settings_of(bootstrap)
    letters, refused = _chosen(settings, place, (topic, kind, identity, id_, since, until), again=again)
    _do("redrive", settings, letters, refused, by, reason, yes=yes, as_json=as_json)


def discard(
    place: MaybePlace = None,
    topic: Topic = None,
    kind: Kind = None,
    identity: Identity = None,
    id_: Id = None,
    since: Since = None,
    until: Until = None,
    by: By = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Put on record that dead letters are done with: `dlq list` hides them.

    Their bytes stay on the topic until its retention ends: topics are append-only.
    """
    settings = settings_of(bootstrap)
    letters, refused = _chosen(settings, place, (topic, kind, identity, id_, since, until), again=False)
    _do("discard", settings, letters, refused, by, reason, yes=yes, as_json=as_json)


def _filter(
    settings: "Settings", topic: str | None, kind: str | None, identity: str | None, id_: str | None
) -> "Filter":
    from endocrine.pipeline.data.dead_letters.select import Filter, topic_name

    try:
        name = None if topic is None else topic_name(topic, settings.prefix)
        return Filter(name, kind, whose(settings, identity), id_)
    except ValueError as error:
        fail(str(error))


def _look(settings: "Settings", meant: "Filter", since: str | None, until: str | None) -> list["Letter"]:
    from endocrine.pipeline.data.dead_letters.broker import look

    after, before = time_of("--since", since), time_of("--until", until)
    with bar("dead letters") as progress:
        return on_broker(settings, look(settings, meant, since=after, until=before, progress=progress))


def _one(settings: "Settings", place: str) -> tuple["Letter", Any]:
    from endocrine.pipeline.data.dead_letters.broker import NoLetter, one
    from endocrine.pipeline.data.dead_letters.select import parse_place

    try:
        return on_broker(settings, one(settings, *parse_place(place, settings.prefix)))
    except (ValueError, NoLetter) as error:
        fail(str(error))


def _chosen(
    settings: "Settings", place: str | None, filters: tuple[str | None, ...], *, again: bool
) -> tuple[list["Letter"], list["Letter"]]:
    """Those that something is to be done with, and those that it was done with before."""
    if place is not None and any(filters):
        fail("a place and filters; expected either one dead letter or filters")
    if place is not None:
        letters = [_one(settings, place)[0]]
    elif not any(filters):
        fail("nothing names the dead letters that are meant; expected TOPIC/PARTITION/OFFSET or filters (--topic, ...)")
    else:
        *names, since, until = filters
        letters = _look(settings, _filter(settings, *names), since, until)
    letters.reverse()  # oldest first: what is sent again keeps its order
    done = [letter for letter in letters if letter.status != "open" and not again]
    return [letter for letter in letters if letter not in done], done


def _do(
    what: str,
    settings: "Settings",
    letters: Sequence["Letter"],
    refused: Sequence["Letter"],
    by: str | None,
    reason: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    from endocrine.pipeline.data.dead_letters import broker
    from endocrine.pipeline.data.dead_letters.select import counts

    for letter in refused[:DEFAULT_SHOWN]:
        last = letter.actions[-1]
        hint = "; --again sends it all the same" if what == "redrive" else ""
        print(f"left alone: {letter.place}: {letter.status} by {last.by} before{hint}", file=sys.stderr)
    dry = len(letters) > 1 and not yes
    done = 0
    if letters and not dry:
        work = broker.redrive if what == "redrive" else broker.discard
        done = on_broker(settings, work(settings, letters, operator(by), reason, time.time()))
    if as_json:
        places = [letter.place for letter in letters]
        _json({"action": what, "dry_run": dry, "done": done, "left_alone": len(refused), "letters": places})
    elif dry:
        for topic, kind, count in counts(letters):
            print(f"{count}\t{topic}\t{kind}")
        print(f"would {what} {len(letters)} dead letters; nothing was done. --yes does it.")
    else:
        print(f"{done} {'redriven' if what == 'redrive' else 'discarded'}")
    if not letters:
        raise typer.Exit(BROKEN)


def _json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.flush()
