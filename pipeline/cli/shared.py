"""What commands over a broker's topics have in common: where it is, times, progress, and failing with a sentence."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.local import stack
from pipeline.logs import set_up_logs
from pipeline.reading import NoSuchTopic
from pipeline.settings import Settings
from pipeline.times import parse_time

T = TypeVar("T")
SOUND, BROKEN, CANNOT = 0, 1, 2
"""Exit codes: as it should be, something was found, it could not be done."""

Bootstrap = Annotated[
    str | None,
    typer.Option(help="host:port; by default ENDOCRINE_BOOTSTRAP, else the local stack of this folder if it runs."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable: JSON.")]


def time_of(text: str | None) -> float | None:
    """Seconds since 1970 of an option's text. For typer's `callback`-free use: raises BadParameter with a sentence."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this append time on: ISO 8601 (no zone: UTC), or seconds.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this append time.")]


def settings_of(bootstrap: str | None) -> Settings:
    """The settings, with the local stack of this folder where none is named and one runs."""
    settings = Settings()
    if bootstrap is None and "bootstrap" not in settings.model_fields_set:
        found = stack.running(settings.data_dir)
        bootstrap = found.bootstrap if found else None
    return settings.model_copy(update={"bootstrap": bootstrap}) if bootstrap else settings


def fail(message: str, code: int = CANNOT) -> NoReturn:
    """End the command with a sentence on stderr."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(code)


def on_broker(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run it; what the broker cannot do ends the command with a sentence and exit code 2."""
    set_up_logs("ERROR")
    try:
        return asyncio.run(work)
    except (NoSuchTopic, TimeoutError) as error:
        fail(str(error))
    except (KafkaError, OSError) as error:
        fail(f"{settings.bootstrap}: {error or type(error).__name__}; is a broker running there?")


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
