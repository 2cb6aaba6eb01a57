"""Opening the input and cutting it into lines; times as people write them; guessing a format."""

import math
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from pipeline.ingest.model import Refused

BOM = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 64 << 20
"""Bytes. A longer line is refused and skipped: it would have to be held in memory whole."""
END_OF_TIME = 253_402_300_800.0
"""The year 10000 in seconds: what the schemas accept as event time lies before it."""
LEAST_MILLISECONDS = 100_000_000_000.0
"""A number from here on is taken for milliseconds (as seconds it would be the year 5138)."""


class Unusable(Exception):
    """The input as a whole cannot be read: missing, a directory, an archive. The message says what to do."""


def open_source(file: str) -> tuple[str, AbstractContextManager[BinaryIO], int | None]:
    """(name for messages, stream, size in bytes or None). `-` is standard input."""
    if file == "-":
        return "stdin", nullcontext(sys.stdin.buffer), None
    path = Path(file)
    if path.is_dir():
        raise Unusable(f"{file}: is a directory; expected a file{_inside(path)}")
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise Unusable(f"{file}: no such file; give the path of an existing file, or - for standard input") from None
    except OSError as error:
        raise Unusable(f"{file}: cannot be read ({error.strerror}); expected a readable file") from None
    return file, stream, path.stat().st_size if path.is_file() else None


def _inside(directory: Path) -> str:
    found = next((name for name in ("conversations.json", "chat.html") if (directory / name).is_file()), None)
    if found == "conversations.json":
        return f", such as {directory / found} with --format chatgpt-export"
    return ""


def numbered_lines(stream: BinaryIO, name: str, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, str] | Refused]:
    """(line number from 1, its text without line end); what is not UTF-8 or too long is refused by its number."""
    number = 0
    while raw := stream.readline(limit + 1):
        number += 1
        where = f"{name}:{number}"
        if number == 1:
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in raw:
                yield Refused(where, "is UTF-16; expected UTF-8: save the file as UTF-8 and try again")
                return
            if raw.startswith(b"PK\x03\x04"):
                yield Refused(where, "is a zip archive; expected text: unpack it and give the file inside")
                return
            raw = raw.removeprefix(BOM)
        if len(raw) > limit:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(limit)
            yield Refused(where, f"the line is longer than {limit} bytes; expected one record per line")
            continue
        try:
            yield number, raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            yield Refused(where, f"is not UTF-8 ({byte} of the line); expected UTF-8 text")


def json_objects(stream: BinaryIO, name: str, expected: str) -> Iterator[tuple[str, dict[str, Any]] | Refused]:
    """(place, JSON object) per line; blank lines are passed over."""
    for item in numbered_lines(stream, name):
        if isinstance(item, Refused):
            yield item
            continue
        number, text = item
        if not text.strip():
            continue
        where = f"{name}:{number}"
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield Refused(where, f"is not JSON ({error.msg} at column {error.colno}); expected {expected}")
            continue
        if isinstance(value, dict):
            yield where, value
        else:
            yield Refused(where, f"is {kind_of(value)}; expected {expected}")


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages.

    >>> kind_of(None), kind_of([]), kind_of(7)
    ('null', 'a list', 'a number')
    """
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def parse_time(value: Any) -> float | None:
    """Seconds since 1970 UTC from seconds, milliseconds or ISO 8601 (no zone: UTC); None where it is no such time.

    >>> parse_time("2025-03-01T12:00:00.250Z"), parse_time(1740830400250), parse_time("soon")
    (1740830400.25, 1740830400.25, None)
    """
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip())
            value = parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value) / 1000 if value >= LEAST_MILLISECONDS else float(value)
    return seconds if math.isfinite(seconds) and 0 <= seconds < END_OF_TIME else None


def guess(head: bytes) -> str | None:
    """The format that the beginning of a file looks like, or None."""
    text = head.removeprefix(BOM).decode(errors="replace")
    if re.search(r"^[\s#>*_]*(?:You|ChatGPT) said:?[\s*_:]*$", text, re.MULTILINE | re.IGNORECASE):
        return "text"
    start = text.lstrip()[:1]
    if start in ("[", "{") and re.search(r'"mapping"\s*:\s*\{', text):
        return "chatgpt-export"
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        value = orjson.loads(first)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    if "topic" in value and "value" in value:
        return "jsonl"
    if "primitive" in value and "window" in value:
        return "behave-jsonl"
    if "type" in value and ("sessionId" in value or "message" in value or value["type"] == "summary"):
        return "claude-transcript"
    return None
