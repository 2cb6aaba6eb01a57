"""What commands over a broker's topics have in common: where it is, times, progress, and failing with a sentence."""

import asyncio
import getpass
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import orjson
import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.pipeline.core.time_format import parse_time
from endocrine.pipeline.kafka.connection import refusal, why_refused
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
from endocrine.pipeline.local.broker_location import locate
from endocrine.pipeline.local.stack import has_data
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings

if TYPE_CHECKING:
    from endocrine.pipeline.core.content_keys import KeyTable
    from endocrine.pipeline.core.name_table import NameTable

T = TypeVar("T")
SOUND, BROKEN, CANNOT, UNCONFIRMED = 0, 1, 2, 3
"""Exit codes: as it should be, something was found, it could not be done, it was sent and not confirmed in time."""
LINE_S = 0.2
"""Seconds between two lines of progress."""
CONFIRM_S = 5.0
"""Seconds that a command that writes waits for the event of what it caused."""

Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Kafka to use. Default: ENDOCRINE_BOOTSTRAP, else the local stack of this folder if it is up.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable: JSON.")]


def time_of(option: str, text: str | None) -> float | None:
    """Return seconds since 1970 of an option's text. What is no time ends the command with a sentence and exit code
    2."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        fail(f"{option}: {error}")


def milliseconds(option: str, text: str | None) -> int | None:
    """Return the same in milliseconds."""
    seconds = time_of(option, text)
    return None if seconds is None else round(seconds * 1000)


def shown_time(seconds: float) -> str:
    """Return a time in UTC for a table, to the second: `2026-03-01T14:05:30Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this append time on: ISO 8601 (no zone: UTC), seconds, or now.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this append time.")]


def settings_of(bootstrap: str | None, *, reads: bool = False) -> Settings:
    """Return the settings with the broker of this command; a line on stderr says which one and what named it.

    reads: it only reads, and needs no worker. Where nobody named a broker and the data folder holds what an earlier run
    left, its stack is started for this command alone; a line before says so.
    Raises SettingsError, which ends the command with a line for each wrong setting and exit code 2 (`cli.app`).
    """
    location = locate(bootstrap)
    if reads and location.unnamed and has_data(location.settings.data_dir):
        from endocrine.pipeline.cli.stack_for_reading import start_for_this_command

        start_for_this_command(location.settings.data_dir)
        location = locate(bootstrap)
    print(location, file=sys.stderr, flush=True)
    return location.settings


def whose(settings: Settings, identity: str | None) -> str | None:
    """Return the subject that `--identity` names: aliases and other cases of a registered id are that id.

    Ends the command where it is no name, or where the registry of names cannot be read.
    """
    from endocrine.pipeline.core.name_table import NameFault

    if identity is None:
        return None
    try:
        return on_broker(settings, registered_names(settings)).subject(identity)
    except NameFault as fault:
        fail(f"--identity: {fault}")


async def registered_names(settings: Settings) -> "NameTable":
    """Return the registry of names as it is now. With a seal key, records that are not ours do not count."""
    from endocrine.pipeline.kafka.name_reader import read_names
    from endocrine.pipeline.process.seal_keys import known_seals

    return await read_names(settings, known_seals(settings))


def fail(message: str, code: int = CANNOT) -> NoReturn:
    """End the command with a sentence on stderr."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


def prompt_keys_of(settings: Settings) -> PromptKeys:
    """Return the keys of prompt hashes; a file that cannot be used ends the command."""
    from endocrine.pipeline.process.prompt_keys import load_prompt_keys

    try:
        return load_prompt_keys(settings)
    except KeyFileError as error:
        fail(str(error))


def content_keys_on_record(settings: Settings, logs: Mapping[tuple[str, int], Any]) -> "KeyTable | None":
    """Return the keys of content on these logs; None where there is nothing to unwrap them with. A file that cannot be
    used, or that lacks a key, ends the command."""
    from endocrine.pipeline.core.content_keys import ContentKeyError
    from endocrine.pipeline.process.content_key_file import wrapping_keys
    from endocrine.pipeline.replay.recorded_keys import recorded_table

    try:
        return recorded_table(wrapping_keys(settings), logs, settings.partitions)
    except (KeyFileError, ContentKeyError) as error:
        fail(str(error))


def on_broker(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run it; what the broker cannot do, or a file of keys, ends the command with a sentence and exit code 2."""
    set_up_logs("ERROR")
    try:
        return asyncio.run(work)
    except (NoSuchTopic, TimeoutError, KeyFileError) as error:
        fail(str(error))
    except (KafkaError, OSError) as error:
        fail(broker_error(settings, error))


def require_acls(settings: Settings, role: str) -> None:
    """Check, on a secured broker, that we may do what the role does. What is missing ends the command with a line for
    each and exit code 2, as does a broker that refuses the connection."""
    if not settings.secured:
        return
    from endocrine.pipeline.cli.acl_roles import acls_of
    from endocrine.pipeline.kafka.acls import AclsRefused, require

    try:
        asyncio.run(require(settings, role, acls_of(role, settings)))
    except AclsRefused as error:
        fail(str(error))
    except (KafkaError, OSError) as error:
        fail(broker_error(settings, error))


By = Annotated[str | None, typer.Option(help="Who does it; by default the name you are logged in under.")]


def operator(by: str | None) -> str:
    """Return who acts: as named, else the name of this login."""
    return by or getpass.getuser()


def commanded(settings: Settings, value: dict[str, Any], events: str, topic: str = "commands") -> dict[str, Any]:
    """Send a command and return the event that it causes on the topic `events`, within `CONFIRM_S`. As `confirmed`.

    topic: where it is sent.
    """
    from endocrine.pipeline.data.commands import send

    return confirmed(settings, send(settings, value, events, CONFIRM_S, topic))


def confirmed(settings: Settings, sending: Coroutine[Any, Any, T]) -> T:
    """Run what sends and waits, and return its outcome.

    A dead letter of it ends the command with a sentence and exit code 1, what cannot be sent with code 2, no outcome in
    time with code 3.
    """
    from endocrine.pipeline.data.commands import NotConfirmed, Refused
    from endocrine.pipeline.data.ingest.produce import ProduceError

    try:
        return on_broker(settings, sending)
    except ProduceError as error:
        fail(str(error))
    except Refused as error:
        fail(str(error), BROKEN)
    except NotConfirmed as error:
        fail(str(error), UNCONFIRMED)


def from_views(work: Callable[[Any], Coroutine[Any, Any, T]], settings: Settings) -> T:
    """Return what work gives of the Redis of the read models; where there is none, the command ends with exit code
    2."""
    from redis.exceptions import RedisError

    from endocrine.pipeline.views.redis.store import connect, redis_error

    async def read() -> T:
        async with connect(settings) as client:
            return await work(client)

    try:
        return asyncio.run(read())
    except ValueError as error:
        fail(str(error))
    except RedisError as error:
        fail(redis_error(settings, error))


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.flush()


def broker_error(settings: Settings, error: Exception) -> str:
    """Return what a client's error means to a person: where the broker was looked for, and what to do."""
    where = settings.bootstrap
    if reason := refusal(settings, error) or (isinstance(error, KafkaConnectionError) and _asked_why(settings)):
        return reason
    if isinstance(error, KafkaConnectionError | ConnectionError):
        return (
            f"no Kafka broker answers at {where}; start one (`endocrine run`), or name yours with --bootstrap or"
            " ENDOCRINE_BOOTSTRAP"
        )
    if isinstance(error, OSError):
        return f"{error.filename or where}: {error.strerror or error or type(error).__name__}"
    return f"the broker at {where} cannot be used: {type(error).__name__}: {error}"


def _asked_why(settings: Settings) -> str | None:
    """As `why_refused`; where an event loop runs, nobody asks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(why_refused(settings, guess=settings.secured))
    return None


ProgressLines = Annotated[
    bool, typer.Option("--progress-lines", help="Progress on stderr as JSON lines, for a program that reads them.")
]


@contextmanager
def bar(what: str, *, as_lines: bool = False) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a progress bar on stderr, where that is a terminal or `as_lines` is given; else None."""
    with bars(as_lines=as_lines) as titled:
        yield titled(what) if as_lines or Console(stderr=True).is_terminal else None


@contextmanager
def bars(*, as_lines: bool = False) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Yield progress bars on stderr, where that is a terminal, else nothing: title -> function of done and total.

    as_lines: JSON lines of `step`, `done` and `total` instead, at most one in `LINE_S` seconds.
    """
    if as_lines:
        yield _progress_line
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda title: lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:

        def titled(title: str) -> Callable[[int, int], None]:
            task = progress.add_task(title, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield titled


def _progress_line(title: str) -> Callable[[int, int], None]:
    written = -LINE_S

    def progress(done: int, total: int) -> None:
        nonlocal written
        now = time.monotonic()
        if now - written >= LINE_S or done >= total:
            written = now
            line = orjson.dumps({"step": title, "done": done, "total": total})
            print(line.decode(), file=sys.stderr, flush=True)

    return progress
