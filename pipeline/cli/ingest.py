"""`endocrine ingest FILE --format FORMAT`: real input becomes records, on Kafka or as JSON lines.

Exit codes: 0 done (refused entries are counted on the last line), 1 `--strict` met a refused entry, or everything was
refused, 2 the input or an option cannot be used, 3 the broker cannot be used, 130 interrupted.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterable
from typing import Annotated, BinaryIO, Literal

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.ingest.explain import explain
from pipeline.ingest.model import Options, Record, Refused, Tally
from pipeline.ingest.produce import ProduceError, produce
from pipeline.ingest.run import FORMATS, Stopped, ingest, shipped_rules
from pipeline.ingest.source import END_OF_TIME, Unusable, guess, open_source
from pipeline.ingest.text import DEFAULT_START_TS
from pipeline.settings import Settings

SHOWN_REFUSALS = 1000
"""Refusals told one by one on stderr; more are only counted."""
HEAD_BYTES = 1 << 16
"""Bytes at the beginning of a file by which its format is guessed."""
BAR_AFTER_S = 1.0
"""Seconds of work after which a progress bar is shown."""
MAX_IDENTITY = 256
FormatName = Literal["jsonl", "behave-jsonl", "chatgpt-export", "claude-transcript", "text"]


def register(app: typer.Typer) -> None:
    """Add the command to the console script."""
    app.command("ingest")(command)


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to read; - is standard input.")],
    format_name: Annotated[FormatName, typer.Option("--format", help="What the file is.")],
    identity: Annotated[
        str | None,
        typer.Option(help="Whose chat it is. Default: FORMAT's own (chatgpt-user, claude-user, text-user)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the records as JSON lines that `endocrine simulate` reads.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first entry that is refused, exit 1.")] = False,
    start_ts: Annotated[
        float | None,
        typer.Option(
            help="Event time (seconds since 1970 UTC) of the first turn, where the input has none. "
            f"Default: {DEFAULT_START_TS:.0f}."
        ),
    ] = None,
) -> None:
    """Read chats, transcripts, observations or records from FILE and produce them to Kafka."""
    raise typer.Exit(_ingest(file, format_name, identity, dry_run, strict, start_ts))


def _ingest(
    file: str, format_name: str, identity: str | None, dry_run: bool, strict: bool, start_ts: float | None
) -> int:
    tally = Tally()
    try:
        settings = Settings()
        options = _options(format_name, identity, start_ts, settings)
        name, opened, size = open_source(file)
    except ValidationError as error:
        return _fail(2, f"settings: {explain(error, 'ENDOCRINE')}")
    except (Unusable, ValueError) as error:
        return _fail(2, str(error))
    code = 0
    with opened as stream, _Bar() as bar:
        source = _Source(stream, size, bar)
        told = _Teller(tally, bar)
        records = ingest(source, name, format_name, options, tally, told, strict=strict)  # type: ignore[arg-type]
        try:
            if dry_run:
                _print(records)
            else:
                logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our message says it once, and better
                lines = (record.line() for record in records)
                asyncio.run(produce(lines, settings, lambda count: bar.show("produced", count, None)))
        except Stopped:
            code = 1
        except BrokenPipeError:
            # The reader has seen enough. Whatever is still buffered goes nowhere, without a message at exit.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except ProduceError as error:
            bar.stop()
            code = _fail(3, str(error))
        except OSError as error:
            bar.stop()
            code = _fail(2, f"{file}: reading stopped ({error.strerror or error})")
        except KeyboardInterrupt:
            code = 130
    if tally.refused and not tally.records:
        code = code or 1
        looks_like = guess(source.head)
        if looks_like not in (None, format_name):
            typer.echo(f"ingest: the input looks like {looks_like}; try --format {looks_like}", err=True)
    typer.echo(f"ingest: {tally}", err=True)
    return code


def _options(format_name: str, identity: str | None, start_ts: float | None, settings: Settings) -> Options:
    if identity is not None:
        if not FORMATS[format_name].takes_identity:
            raise ValueError(f"--identity: records of format {format_name} name their own identity; leave it out")
        if not 1 <= len(identity.strip()) <= MAX_IDENTITY:
            raise ValueError(f"--identity: has {len(identity.strip())} characters; expected 1 to {MAX_IDENTITY}")
    if start_ts is not None and not 0 <= start_ts < END_OF_TIME:
        raise ValueError(f"--start-ts: {start_ts} is out of range; expected seconds since 1970, before the year 10000")
    start = DEFAULT_START_TS if start_ts is None else start_ts
    return Options(identity and identity.strip(), shipped_rules(), start, settings.max_record_bytes)


def _print(records: Iterable[Record]) -> None:
    out = sys.stdout.buffer
    for record in records:
        out.write(orjson.dumps(record.line(), option=orjson.OPT_APPEND_NEWLINE))
        out.flush()


def _fail(code: int, message: str) -> int:
    typer.echo(f"ingest: {message}", err=True)
    return code


class _Source:
    """The stream, its position shown on the bar and its head kept for guessing."""

    def __init__(self, stream: BinaryIO, size: int | None, bar: "_Bar") -> None:
        self.stream, self.size, self.bar = stream, size, bar
        self.head, self.position = b"", 0

    def read(self, size: int = -1) -> bytes:
        return self._seen(self.stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._seen(self.stream.readline(size))

    def _seen(self, data: bytes) -> bytes:
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self.position += len(data)
        self.bar.show("read", self.position, self.size)
        return data


class _Teller:
    """Says on stderr what was refused."""

    def __init__(self, tally: Tally, bar: "_Bar") -> None:
        self.tally, self.bar = tally, bar

    def __call__(self, refused: Refused) -> None:
        self.bar.stop()
        if self.tally.refused <= SHOWN_REFUSALS:
            typer.echo(str(refused), err=True)
        if self.tally.refused == SHOWN_REFUSALS:
            typer.echo("ingest: further refusals are counted, not shown", err=True)


class _Bar:
    """A progress bar on stderr, only on a terminal and only when the work takes longer than a moment."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.progress: Progress | None = None
        self.enabled = sys.stderr.isatty()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def show(self, what: str, done: int, total: int | None) -> None:
        """`done` of `total` (None: unknown) bytes or records."""
        if not self.enabled or (self.progress is None and time.monotonic() - self.started < BAR_AFTER_S):
            return
        if self.progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
            self.progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self.progress.start()
        task = next((t.id for t in self.progress.tasks if t.description == what), None)
        task = self.progress.add_task(what, total=total) if task is None else task
        self.progress.update(task, completed=done)

    def stop(self) -> None:
        """Clear the line, so that a message can stand there; the bar comes back with the next `show`."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
