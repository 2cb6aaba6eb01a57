"""Stream a topic, or the table it keeps, into a file."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endocrine.pipeline.data.export.columns import columns_of
from endocrine.pipeline.data.export.rows import Row, Rows
from endocrine.pipeline.data.export.writers import FORMATS, ExportError, Writer, close_quietly
from endocrine.pipeline.kafka.topic_reader import batches
from endocrine.pipeline.process.settings import Settings

GROUP_ROWS = 10_000
GROUP_BYTES = 16 << 20
"""Rows are written in groups of at most so many, and so many bytes of values: that is what is in memory."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Choice:
    """What is exported. since, until: seconds since 1970 by append time, the first included, the second not."""

    topic: str
    """Without prefix."""
    latest: bool = False
    """As a table: the last record of each key, and keys that were erased left out."""
    since: float | None = None
    until: float | None = None
    identity: str | None = None
    partition: int | None = None


async def export(
    settings: Settings,
    choice: Choice,
    form: str,
    output: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the file, whole or not at all; return the number of rows. form: a key of FORMATS. Raises ExportError."""
    part = _part(output, force=force)
    try:
        with _writing(output):
            file = part.open("xb")
        with file:
            writer = FORMATS[form](file, columns_of(choice.topic))
            try:
                count = await _fill(settings, choice, lambda rows: _write(output, writer, rows), progress)
            except BaseException:
                close_quietly(writer)
                raise
            with _writing(output):
                writer.close()
                file.flush()
                os.fsync(file.fileno())
        with _writing(output):
            _put(part, output, force=force)
        return count
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _part(output: Path, *, force: bool) -> Path:
    """The file to write to before it takes its name."""
    if output.exists() and not force:
        raise ExportError(f"{output} exists already; --force replaces it")
    return output.with_name(f".{output.name}.{os.getpid()}.part")


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(f"{output}: cannot be written: {error.strerror or error}") from None


def _write(output: Path, writer: Writer, rows: list[Row]) -> None:
    with _writing(output):
        writer.write(rows)


async def _fill(
    settings: Settings, choice: Choice, write: Callable[[list[Row]], None], progress: Progress | None
) -> int:
    rows = Rows(choice.topic)
    latest = await _latest(settings, choice, progress) if choice.latest else None
    group: list[Row] = []
    size = count = written = 0
    async with aclosing(_records(settings, choice, progress)) as found:
        async for raw in found:
            if latest is not None and latest.get((raw.partition, raw.key)) != raw.offset:
                continue
            count += 1
            if choice.identity is not None and rows.identity(raw) != choice.identity:
                continue
            group.append(rows.row(raw))
            written += 1
            size += len(raw.value or b"")
            if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
                write(group)
                group, size = [], 0
    if group:
        write(group)
    if latest is not None and count != len(latest):
        raise ExportError(
            f"{choice.topic}: {len(latest) - count} keys were compacted away while the table was read; export it again"
        )
    return written


async def _latest(settings: Settings, choice: Choice, progress: Progress | None) -> dict[tuple[int, Any], int]:
    """Offset of the last record of each key that has a value. A first pass: only keys and offsets are held."""
    latest: dict[tuple[int, Any], int] = {}
    async with aclosing(_records(settings, choice, progress)) as found:
        async for raw in found:
            if raw.value is None:
                latest.pop((raw.partition, raw.key), None)
            else:
                latest[raw.partition, raw.key] = raw.offset
    return latest


async def _records(settings: Settings, choice: Choice, progress: Progress | None) -> AsyncGenerator[Any, None]:
    reading = batches(
        settings,
        [choice.topic],
        partition=choice.partition,
        since=choice.since,
        until=choice.until,
        progress=progress,
    )
    async with aclosing(reading) as found:
        async for _, _, records in found:
            for raw in records:
                yield raw


def _put(part: Path, output: Path, *, force: bool) -> None:
    if force:
        part.replace(output)
        return
    try:
        os.link(part, output)  # unlike a rename, it never replaces a file that came meanwhile
    except FileExistsError:
        raise ExportError(f"{output} was made by another while this was written; --force replaces it") from None
    except OSError:  # a file system without hard links
        part.replace(output)
