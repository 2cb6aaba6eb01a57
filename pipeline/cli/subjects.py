"""What commands about a subject share: its name, sending them, and showing their outcome."""

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import BROKEN, commanded, fail, operator, print_json

if TYPE_CHECKING:
    from endocrine.pipeline.process.settings import Settings

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="An identity, or `project:` and a project's id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for people.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="Rows shown.")]


def named(settings: "Settings", subject: str) -> str:
    """Return the subject that is meant: an alias, or another case of a registered id, is that id.

    Ends the command where it is no name, or where the registry of names cannot be read.
    """
    from endocrine.pipeline.cli.common import on_broker, registered_names
    from endocrine.pipeline.core.name_table import NameFault
    from endocrine.pipeline.core.partitioning import subject_of

    try:
        return on_broker(settings, registered_names(settings)).subject(subject_of(subject))
    except NameFault as fault:
        fail(f"SUBJECT: {fault}")
    except ValueError as error:
        fail(f"SUBJECT: {error}")


def checked(
    settings: "Settings", subject: str, command: dict[str, Any], by: str | None, topic: str = "commands"
) -> dict[str, Any]:
    """Return a command about a subject, named as it is keyed, with an id of its own. What is left out (None) is not in
    it.

    One that its topic would not take ends with a sentence and exit code 2.
    """
    from endocrine.pipeline.core.catalogue import CATALOGUE
    from endocrine.pipeline.core.decode import Malformed, decode

    given = {name: value for name, value in command.items() if value is not None}
    value = {
        **given,
        "id": f"operator-{uuid.uuid4().hex}",
        CATALOGUE[topic].identity_field: subject,
        "by": operator(by),
        "ts": time.time(),
    }
    try:
        decode(CATALOGUE[topic], orjson.dumps(value), settings.max_record_bytes)
    except Malformed as malformed:
        fail(str(malformed))
    return value


def sent(
    settings: "Settings",
    subject: str,
    command: dict[str, Any],
    by: str | None,
    events: str,
    topic: str = "commands",
) -> dict[str, Any]:
    """Send a command about a subject to `topic`, and return the event that it causes on the topic `events`.

    A command that is refused, by its form or by what is there, ends with exit code 1 or 2 and a sentence.
    """
    return commanded(settings, checked(settings, subject, command, by, topic), events, topic)


def ended(event: dict[str, Any], line: str, *, as_json: bool) -> None:
    """Show the outcome of a command: as JSON, or as a line. A refusal ends with exit code 1."""
    if as_json:
        print_json(event)
        raise typer.Exit(BROKEN if event["kind"] == "refused" else 0)
    if event["kind"] == "refused":
        fail(f"refused: {event['reason']}", BROKEN)
    print(line)
