"""What a filter shows as a file: JSON lines or CSV. The last line says so where there is more."""

import csv
import io
from collections.abc import Sequence

import orjson

from endocrine.pipeline.console.browsing.shown import ShownRecord
from endocrine.pipeline.core.time_format import show_time

COLUMNS = ("topic", "partition", "offset", "append_time", "key", "headers", "value")
FORMS = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def exported(form: str, records: Sequence[ShownRecord], cut: str | None) -> bytes:
    """Return the file. form: of FORMS. cut: why it does not hold all; None: it does."""
    return _csv(records, cut) if form == "csv" else _lines(records, cut)


def _lines(records: Sequence[ShownRecord], cut: str | None) -> bytes:
    lines = [orjson.dumps(dict(zip(COLUMNS, _row(one), strict=True))) for one in records]
    if cut is not None:
        lines.append(orjson.dumps({"cut": cut}))
    return b"".join(line + b"\n" for line in lines)


def _csv(records: Sequence[ShownRecord], cut: str | None) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in records:
        cells = [_cell(value) for value in _row(one)]
        writer.writerow(cells)
    if cut is not None:
        writer.writerow([f"cut: {cut}"])
    return text.getvalue().encode("utf-8", "replace")


def _row(one: ShownRecord) -> tuple[object, ...]:
    return one.topic, one.partition, one.offset, show_time(one.at), one.key, dict(one.headers), one.value


def _cell(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    # A spreadsheet takes these for the beginning of a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
