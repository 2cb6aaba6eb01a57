"""What commands over a broker's topics have in common: where it is, times, progress, and failing with a sentence."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from aiokafka.errors import KafkaConnectionError, KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.pipeline.core.time_format import parse_time
from endocrine.pipeline.kafka.topic_reader import NoSuchTopic
from endocrine.pipeline.local.broker_location import locate
from endocrine.pipeline.process.logs import set_up_logs
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings

if TYPE_CHECKING:
    from endocrine.pipeline.core.name_table import NameTable

T = TypeVar("T")
SOUND, BROKEN, CANNOT = 0, 1, 2
"""Exit codes: as it should be, something was found, it could not be done."""

Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Kafka to use. Default: ENDOCRINE_BOOTSTRAP, else the local stack of this folder if it is up.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable: JSON.")]


def time_of(text: str | None) -> float | None:
    """Seconds since 1970 of an option's text. For typer's `callback`-free use: raises BadParameter with a sentence."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this append time on: ISO 8601 (no zone: UTC), seconds, or now.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this append time.")]


def settings_of(bootstrap: str | None) -> Settings:
    """The settings with the broker of this command; the first line on stderr says which one and what named it.

    Raises SettingsError, which ends the command with a line for each wrong setting and exit code 2 (`cli.app`).
    """
    location = locate(bootstrap)
    print(location, file=sys.stderr, flush=True)
    return location.settings


def whose(settings: Settings, identity: str | None) -> str | None:
    """The subject that `--identity` names: aliases and other cases of a registered id are that id.

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
    """The registry of names as it is now. With a seal key, records that are not ours do not count."""
    from endocrine.pipeline.kafka.name_reader import read_names
    from endocrine.pipeline.process.seal_keys import known_seals

    return await read_names(settings, known_seals(settings))


def fail(message: str, code: int = CANNOT) -> NoReturn:
    """End the command with a sentence on stderr."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


def prompt_keys_of(settings: Settings) -> PromptKeys:
    """The keys of prompt hashes; a file that cannot be used ends the command."""
    from endocrine.pipeline.process.prompt_keys import load_prompt_keys

    try:
        return load_prompt_keys(settings)
    except KeyFileError as error:
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


def broker_error(settings: Settings, error: Exception) -> str:
    """What a client's error means to a person: where the broker was looked for, and what to do."""
    where = settings.bootstrap
    if isinstance(error, KafkaConnectionError | ConnectionError):
        return (
            f"no Kafka broker answers at {where}; start one (`endocrine run`), or name yours with --bootstrap or"
            " ENDOCRINE_BOOTSTRAP"
        )
    if isinstance(error, OSError):
        return f"{error.filename or where}: {error.strerror or error or type(error).__name__}"
    return f"the broker at {where} cannot be used: {type(error).__name__}: {error}"


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, where that is a terminal; else None."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
