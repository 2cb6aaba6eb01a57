"""`endocrine ingest FILE`: real input becomes records, on Kafka or as JSON lines.

FILE is a file, a zip archive, a folder of either, or - for standard input. Exit codes: 0 done (refused entries and
files are counted on the last line), 1 `--strict` met a refused entry, or everything was refused, 2 the input or an
option cannot be used, 3 the broker cannot be used, 130 interrupted.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, BinaryIO, Literal, cast

import orjson
import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from endocrine.pipeline.cli.common import Bootstrap, broker_error, registered_names, settings_of
from endocrine.pipeline.core.name_table import NameFault, NameTable
from endocrine.pipeline.data.ingest.model import Options, Record, Refused, Tally
from endocrine.pipeline.data.ingest.produce import ProduceError, produce
from endocrine.pipeline.data.ingest.recognise import AUTO
from endocrine.pipeline.data.ingest.run import ANY_FORMAT, FORMATS, Stopped, ingest_sources, shipped_rules
from endocrine.pipeline.data.ingest.source import Source, Unusable, open_sources
from endocrine.pipeline.data.ingest.text import DEFAULT_START_TS
from endocrine.pipeline.data.ingest.values import END_OF_TIME
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings

SHOWN_REFUSALS = 1000
"""Refusals printed one by one on stderr; more are only counted."""
BAR_AFTER_S = 1.0
"""Seconds of work after which a progress bar is shown."""
FormatName = Literal[
    "jsonl", "behave-jsonl", "chatgpt-export", "claude-export", "claude-transcript", "otel-genai", "text", "auto"
]


def register(app: typer.Typer) -> None:
    """Add the command to the console script."""
    app.command("ingest")(command)


def command(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file, a zip archive or a folder to read; - is standard input.")
    ],
    format_name: Annotated[
        FormatName,
        typer.Option("--format", help="What the input is; auto recognises each file by its beginning."),
    ] = "auto",
    identity: Annotated[
        str | None,
        typer.Option(help="Whose chat it is. Default: FORMAT's own (chatgpt-user, claude-user, otel-user, text-user)."),
    ] = None,
    project: Annotated[str | None, typer.Option(help="The project that the turns are of.")] = None,
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
    bootstrap: Bootstrap = None,
) -> None:
    """Read chats, transcripts, traces, observations or records from FILE and produce them to Kafka."""
    raise typer.Exit(_ingest(file, format_name, identity, project, dry_run, strict, start_ts, bootstrap))


def _ingest(
    file: str,
    format_name: str,
    identity: str | None,
    project: str | None,
    dry_run: bool,
    strict: bool,
    start_ts: float | None,
    bootstrap: str | None,
) -> int:
    tally = Tally()
    settings = Settings() if dry_run else settings_of(bootstrap)
    try:
        options = _options(format_name, identity, project, start_ts, settings)
        sources = open_sources(file)
    except (Unusable, ValueError) as error:
        return _fail(2, str(error))
    names = NameTable()
    if not dry_run:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our message says it once, and better
        try:
            names = asyncio.run(registered_names(settings))
        except (KafkaError, OSError) as error:
            return _fail(3, broker_error(settings, error))
        except KeyFileError as error:
            return _fail(2, str(error))
        # Before ids are made of it: an alias gives the records that its id gives.
        whose = None if options.identity is None else names.identity(options.identity)
        options = replace(options, identity=whose, project=names.project(options.project))
    code = 0
    with _Bar() as bar:
        reporter = _Reporter(tally, bar)

        def opened(stream: BinaryIO, source: Source) -> BinaryIO:
            return cast(BinaryIO, _Watched(stream, source.size, bar))

        records = ingest_sources(sources, format_name, options, tally, reporter, strict=strict, opened=opened)
        try:
            if dry_run:
                _print(records)
            else:
                _produce(records, names, settings, tally, bar, reporter, strict=strict)
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
        except Unusable as error:
            bar.stop()
            code = _fail(2, str(error))
        except _OutputError as error:
            bar.stop()
            code = _fail(2, f"standard output: writing stopped ({error})")
        except OSError as error:
            bar.stop()
            code = _fail(2, f"{file}: reading stopped ({error.strerror or error})")
        except KeyboardInterrupt:
            code = 130
    if tally.refused and not tally.records:
        code = code or 1
    elif tally.files and not tally.files["read"]:
        code = code or _fail(1, f"{file}: none of its {tally.files.total()} files holds chats; expected {ANY_FORMAT}")
    if dry_run:
        typer.echo("ingest: dry run: nothing was produced; counted is what was printed", err=True)
    typer.echo(f"ingest: {tally}", err=True)
    return code


def _options(
    format_name: str, identity: str | None, project: str | None, start_ts: float | None, settings: Settings
) -> Options:
    if identity is not None and format_name != AUTO and not FORMATS[format_name].takes_identity:
        raise ValueError(f"--identity: records of format {format_name} name their own identity; leave it out")
    if start_ts is not None and not 0 <= start_ts < END_OF_TIME:
        raise ValueError(f"--start-ts: {start_ts} is out of range; expected seconds since 1970, before the year 10000")
    start = DEFAULT_START_TS if start_ts is None else start_ts
    try:
        whose = None if identity is None else NameTable().identity(identity)
    except NameFault as fault:
        raise ValueError(f"--identity: {fault}") from None
    try:
        project_id = NameTable().project(project)
    except NameFault as fault:
        raise ValueError(f"--project: {fault}") from None
    return Options(whose, shipped_rules(), start, settings.max_record_bytes, project_id)


def _produce(
    records: Iterable[Record],
    names: NameTable,
    settings: Settings,
    tally: Tally,
    bar: "_Bar",
    refuse: Callable[[Refused], None],
    *,
    strict: bool,
) -> None:
    """Produce the records under their registered names; written is then what the broker acknowledged."""
    written = Tally()

    def acknowledged(line: Mapping[str, Any]) -> None:
        written.wrote(line["topic"], line["value"])

    def lines() -> Iterator[Mapping[str, Any]]:
        for record in records:
            try:
                yield names.line(record.line())
            except NameFault as fault:
                tally.refused += 1
                refuse(Refused(record.where, f"a name: {fault}"))
                if strict:
                    raise Stopped from None

    try:
        asyncio.run(produce(lines(), settings, lambda count: bar.show("produced", count, None), acknowledged))
    finally:
        tally.turns, tally.records = written.turns, written.records


class _OutputError(Exception):
    """Standard output takes no more."""


def _print(records: Iterable[Record]) -> None:
    out = sys.stdout.buffer
    for record in records:
        line = orjson.dumps(record.line(), option=orjson.OPT_APPEND_NEWLINE)
        try:
            out.write(line)
            out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _OutputError(error.strerror or str(error)) from None


def _fail(code: int, message: str) -> int:
    typer.echo(f"ingest: {message}", err=True)
    return code


class _Watched:
    """A stream whose position is shown on the bar."""

    def __init__(self, stream: BinaryIO, size: int | None, bar: "_Bar") -> None:
        self._stream, self._size, self._bar = stream, size, bar
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        return self._seen(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._seen(self._stream.readline(size))

    def _seen(self, data: bytes) -> bytes:
        self._position += len(data)
        self._bar.show("read", self._position, self._size)
        return data


class _Reporter:
    """Prints on stderr what was refused."""

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
        """Draw `done` of `total` (None: unknown) bytes or records."""
        if not self.enabled or (self.progress is None and time.monotonic() - self.started < BAR_AFTER_S):
            return
        if self.progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
            self.progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self.progress.start()
        task = next((t.id for t in self.progress.tasks if t.description == what), None)
        task = self.progress.add_task(what, total=total) if task is None else task
        self.progress.update(task, completed=done, total=total)

    def stop(self) -> None:
        """Clear the line, so that a message can be printed there; the bar comes back with the next `show`."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
