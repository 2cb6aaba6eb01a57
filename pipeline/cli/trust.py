"""`endocrine trust set|get|invalidate|history`: trusted state, what operators state about a project or an identity."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    commanded,
    fail,
    from_views,
    on_broker,
    print_json,
    settings_of,
    shown_time,
)
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.cli.subjects import Subject, checked, named, sent
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.agents.trust.rules import TrustedStateRules
    from endocrine.pipeline.process.settings import Settings

DEFAULT_SHOWN, MOST_SHOWN = 50, 500
Category = Annotated[str, typer.Argument(metavar="CATEGORY", help="What it is about; one of the policy's list.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its name within the category.")]
Only = Annotated[str | None, typer.Option("--category", help="Of this category.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Trusted state: what operators state about a project or an identity.")
    group.command("set")(set_)
    group.command("get")(get)
    group.command("invalidate")(invalidate)
    group.command("history")(history)
    app.add_typer(group, name="trust")


def set_(
    subject: Subject,
    category: Category,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What is stated; 1 to 4,000 characters.")],
    source: Annotated[str, typer.Option(help="Where it is from.")] = "",
    confidence: Annotated[float, typer.Option(help="How sure you are, 0 to 1.")] = 1.0,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """State something, and wait for its event: an entry, or a new version of the one there is.

    Exit codes: 0 done, 1 refused, 2 broker or read models away or invalid arguments, 3 sent, not confirmed.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap)
    whom = named(settings, subject)
    command = {"kind": "state_set", "category": category, "key": key, "value": value, "source": source,
               "confidence": confidence}  # fmt: skip
    value_sent = checked(settings, whom, command, by)
    rules = _rules(settings)
    if category not in rules.categories:
        fail(f"CATEGORY: expected one of {', '.join(rules.categories)}")
    active = {(one["category"], one["key"]) for one in from_views(lambda client: views.trusted(client, whom), settings)}
    if len(active) >= rules.active and (category, key) not in active:
        fail(f"state_full: {len(active)} entries are active; expected fewer than {rules.active}", BROKEN)
    _shown(commanded(settings, value_sent, "state-events"), as_json=as_json)


def get(
    subject: Subject,
    category: Only = None,
    everything: Annotated[bool, typer.Option("--all", help="What was superseded, too.")] = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the trusted state of a subject, by category and key.

    Exit codes: 0 shown, also where there is none; 2 the read models are away, or invalid arguments.
    """
    from endocrine.pipeline.views.redis import views

    settings = settings_of(bootstrap, reads=True)
    whom = named(settings, subject)
    found = from_views(lambda client: views.trusted(client, whom, superseded=everything), settings)
    found = [entry for entry in found if category in (None, entry["category"])]
    if as_json:
        print_json({"subject": whom, "items": found})
        return
    for entry in found:
        ended = "" if entry["status"] == "active" else f"  ({entry['status']})"
        print(f"[{entry['category']}] {entry['key']}: {entry['value']}{ended}")


def invalidate(
    subject: Subject,
    category: Category,
    key: Key,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """End an entry, and wait for its event: it stays, superseded.

    Exit codes: 0 done, 1 nothing is active there, 2 the broker is away or invalid arguments, 3 sent, not confirmed.
    """
    settings = settings_of(bootstrap)
    whom = named(settings, subject)
    command = {"kind": "state_invalidate", "category": category, "key": key, "reason": reason}
    _shown(sent(settings, whom, command, by, "state-events"), as_json=as_json)


def history(
    subject: Subject,
    category: Only = None,
    key: Annotated[str | None, typer.Option("--key", help="Of this key.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Rows shown.")] = DEFAULT_SHOWN,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what was done to the trusted state of a subject, newest first, as far back as its topic reaches (30 days).

    Exit codes: 0 shown, also where there is nothing; 2 the broker cannot be read, or invalid arguments.
    """
    settings = settings_of(bootstrap, reads=True)
    whom = named(settings, subject)
    events = [
        event
        for event in on_broker(settings, _events(settings, whom))
        if category in (None, event["category"]) and key in (None, event["key"])
    ][::-1][:limit]
    if as_json:
        print_json({"subject": whom, "items": events})
        return
    columns = ("time", "kind", "category", "key", "old", "new", "reason", "by")
    shown = [{**event, "time": shown_time(event["ts"])} for event in events]
    print_table(columns, [[event[name] for name in columns] for event in shown])


async def _events(settings: "Settings", subject: str) -> list[dict[str, Any]]:
    """Proved events of a subject, oldest first; where no seal keys are known, all of them."""
    from contextlib import aclosing

    from endocrine.pipeline.core.partitioning import partition_of
    from endocrine.pipeline.kafka.topic_reader import batches
    from endocrine.pipeline.process.seal_keys import known_seals

    found, seals = list[dict[str, Any]](), known_seals(settings)
    place = partition_of(subject, settings.partitions)
    async with aclosing(batches(settings, ["state-events"], partition=place)) as pieces:
        async for topic, _, records in pieces:
            for raw in records:
                if raw.key != subject.encode() or raw.value is None:
                    continue
                if seals is None or seals.valid(topic, raw, dict(raw.headers)):
                    found.append(orjson.loads(raw.value))
    return found


def _rules(settings: "Settings") -> "TrustedStateRules":
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        return load_policy(settings.policy, os.environ).document.trusted_state
    except PolicyFileError as error:
        fail(str(error))


def _shown(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(event)
    else:
        because = f" ({event['reason']})" if event["reason"] else ""
        version = "" if event["version"] is None else f", version {event['version']}"
        print(f"{event['kind']}: {event['subject']} [{event['category']}] {event['key']}{version}{because}")
    if event["kind"] in ("refused", "absent"):
        raise typer.Exit(BROKEN)
