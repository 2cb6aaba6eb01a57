"""Rows into files. A writer takes batches of rows and holds none of them."""

import csv
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

import orjson

from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.core.records import OURS
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.data.export.columns import OTHER, PREFIX, Column, Kind
from endocrine.pipeline.data.export.rows import Row

PYARROW = "pyarrow>=20"
"""As in pyproject.toml, extra `export`."""
INSTALL = f"{sys.executable} -m pip install '{PYARROW}'"
"""For the environment that runs, whether a checkout's or another."""


class ExportError(Exception):
    """The export cannot be made. The message says what to do."""


class Writer(Protocol):
    """Writes one file."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some more rows: a row group, in Parquet."""

    def close(self) -> None:
        """End: there are no more rows."""


class JsonLines:
    """One JSON object per line: columns that do not apply are left out; objects and lists as they are."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._file = file
        self._columns = columns

    def write(self, rows: Sequence[Row]) -> None:
        """Write some more lines."""
        for row in rows:
            shown = {name: _shown(kind, row[name]) for name, kind in self._columns if name in row}
            self._file.write(orjson.dumps(shown) + b"\n")

    def close(self) -> None:
        """Flush nothing: nothing is held back."""


class SimulateLines:
    """One line per record, as `endocrine simulate` reads them: topic, key, value, headers, timestamp.

    A dead letter goes to the topic that it was read from. Headers that are null, or of our own, are left out: they say
    where the record lay. A value that is no JSON cannot be written so: ExportError.
    """

    def __init__(self, file: BinaryIO, _: Sequence[Column]) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Write some more lines."""
        for row in rows:
            own = {
                name: text for name, text in row["headers"].items() if text is not None and not name.startswith(OURS)
            }
            line = {
                "topic": source_of(row["topic"]),
                "key": row["key"],
                "value": _value(row),
                "headers": own,
                "timestamp": row["append_time"] / 1000,
            }
            self._file.write(orjson.dumps(line) + b"\n")

    def close(self) -> None:
        """Flush nothing: nothing is held back."""


class Csv:
    """RFC 4180 with a header line, UTF-8; objects and lists as JSON text; missing and null are empty."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text)
        self._columns = columns
        self._writer.writerow([name for name, _ in columns])

    def write(self, rows: Sequence[Row]) -> None:
        """Write some more lines."""
        self._writer.writerows([_cell(kind, row.get(name)) for name, kind in self._columns] for row in rows)

    def close(self) -> None:
        """Flush; the file stays open for who opened it."""
        self._text.detach()


class Parquet:
    """Typed columns, zstd; objects and lists as JSON text; times as timestamps in UTC."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            message = f"Parquet needs the library pyarrow: {INSTALL}; csv and jsonl need nothing more"
            raise ExportError(message) from None
        types = {
            "text": pyarrow.string(),
            "json": pyarrow.string(),
            "int": pyarrow.int64(),
            "float": pyarrow.float64(),
            "bool": pyarrow.bool_(),
            "time": pyarrow.timestamp("ms", tz="UTC"),
        }
        self._columns = columns
        self._pyarrow = pyarrow
        self._schema = pyarrow.schema([(name, types[kind]) for name, kind in columns])
        self._writer: Any = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        """Write one row group."""
        arrays = [
            self._pyarrow.array([_plain(kind, row.get(name)) for row in rows], type=self._schema.field(name).type)
            for name, kind in self._columns
        ]
        self._writer.write_table(self._pyarrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


Opened = Callable[[BinaryIO, Sequence[Column]], Writer]
FORMATS: dict[str, Opened] = {
    "parquet": Parquet,
    "csv": Csv,
    "jsonl": JsonLines,
    "simulate": SimulateLines,
}


def _value(row: Row) -> Any:
    """The value of a record, put together again from its columns."""
    if "raw_encoding" not in row:
        fields = {name.removeprefix(PREFIX): row[name] for name in row if name.startswith(PREFIX) and name != OTHER}
        return fields | row.get(OTHER, {})
    with suppress(orjson.JSONDecodeError):
        if row["raw_encoding"] == "text":
            return orjson.loads(row["raw"])
    raise ExportError(
        f"{row['topic']}/{row['partition']}/{row['offset']} is no JSON, which `simulate` does not read; --format jsonl"
        " has it"
    )


def _shown(kind: Kind, value: Any) -> Any:
    return show_time(value / 1000) if kind == "time" and value is not None else value


def _plain(kind: Kind, value: Any) -> Any:
    return orjson.dumps(value).decode() if kind == "json" and value is not None else value


def _cell(kind: Kind, value: Any) -> Any:
    if isinstance(value, bool) and kind == "bool":
        return "true" if value else "false"
    return _shown(kind, _plain(kind, value))


def close_quietly(writer: Writer) -> None:
    """Close a writer whose file is given up."""
    with suppress(Exception):
        writer.close()
