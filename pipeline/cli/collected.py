"""What the commands over a whole history share: a folder for topics, a bar on the terminal, errors as sentences."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endocrine.pipeline.cli.common import broker_error, fail
from endocrine.pipeline.core.time_format import parse_time
from endocrine.pipeline.kafka.admin import TopicsError
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.history import HistoryError
from endocrine.pipeline.replay.resume import ResumeError
from endocrine.pipeline.replay.state_files import SnapshotError


def milliseconds(option: str, text: str | None) -> int | None:
    """A time option as milliseconds since 1970. Ends the command with code 2 for what is none."""
    if text is None:
        return None
    try:
        return round(parse_time(text) * 1000)
    except ValueError as error:
        fail(f"{option}: {error}")


@contextmanager
def user_errors(settings: Settings) -> Iterator[None]:
    """Errors that a person can do something about, as one sentence and exit code 2."""
    try:
        yield
    except (TopicsError, SnapshotError, ResumeError, HistoryError, TimeoutError) as error:
        fail(str(error))
    except (KafkaError, OSError) as error:
        fail(broker_error(settings, error))


@contextmanager
def bar() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress on stderr when that is a terminal, nothing otherwise. Give a title, get a function of done and total."""
    if not sys.stderr.isatty():
        yield lambda title: lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:

        def titled(title: str) -> Callable[[int, int], None]:
            task = shown.add_task(title, total=None)
            return lambda done, total: shown.update(task, completed=done, total=total)

        yield titled


@contextmanager
def temp_dir() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="endocrine-replay-") as folder:
        yield Path(folder)
