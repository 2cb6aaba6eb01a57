"""Cutting an input into lines, and lines into JSON objects."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import orjson

from endocrine.pipeline.data.ingest.json_items import json_items
from endocrine.pipeline.data.ingest.model import Noted, Refused
from endocrine.pipeline.data.ingest.rewound import BOM, Rewound
from endocrine.pipeline.data.ingest.tolerant import loads, read_line
from endocrine.pipeline.data.ingest.values import kind_of

MAX_LINE_BYTES = 64 << 20
"""Bytes. A longer line is refused and skipped: it would have to be held in memory whole."""

PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
}
"""How files begin that are not text."""


def raw_lines(stream: BinaryIO, name: str, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes] | Refused]:
    """Yield (line number from 1, its bytes without line end); a line that is too long is refused by its number."""
    number = 0
    while raw := stream.readline(limit + 1):
        number += 1
        where = f"{name}:{number}"
        if number == 1:
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in raw:
                yield Refused(where, "is UTF-16; expected UTF-8: save the file as UTF-8 and try again")
                return
            packed = next((kind for start, kind in PACKED.items() if raw.startswith(start)), None)
            if packed is not None:
                yield Refused(where, f"is {packed}; expected text: unpack it and give the file inside")
                return
        if len(raw) > limit:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(limit)
            yield Refused(where, f"the line is longer than {limit} bytes; expected one record per line")
            continue
        yield number, raw.removeprefix(BOM).rstrip(b"\r\n")  # files that were joined have one in the middle


def numbered_lines(stream: BinaryIO, name: str, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, str] | Refused]:
    """Yield (line number from 1, its text without line end); what is not UTF-8 is refused by its number."""
    for item in raw_lines(stream, name, limit):
        if isinstance(item, Refused):
            yield item
            continue
        number, raw = item
        try:
            yield number, raw.decode()
        except UnicodeDecodeError as error:
            byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            yield Refused(f"{name}:{number}", f"is not UTF-8 ({byte} of the line); expected UTF-8 text")


def json_objects(stream: BinaryIO, name: str, expected: str) -> Iterator[tuple[str, dict[str, Any]] | Refused]:
    """Yield (place, JSON object) per line, read strictly; blank lines are passed over."""
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


def objects(
    stream: BinaryIO, name: str, noun: str, expected: str, is_entry: Callable[[Any], bool] | None = None
) -> Iterator[tuple[str, dict[str, Any]] | Noted | Refused]:
    """Yield (place, JSON object) of JSON lines, or of objects that are printed over several lines or in an array.

    is_entry: as of `tolerant_objects`, for JSON lines.
    """
    first = stream.readline(MAX_LINE_BYTES)
    whole = cast(BinaryIO, Rewound(first, stream))
    start = first.removeprefix(BOM).strip()
    if start != b"{" and start[:1] != b"[":
        yield from tolerant_objects(whole, name, expected, is_entry)
        return
    for item in json_items(whole, name, noun):
        if isinstance(item, Refused):
            yield item
            continue
        where = f"{name}: {noun} {item[0]}"
        try:
            value, repairs = loads(item[1])
        except orjson.JSONDecodeError as error:
            yield Refused(where, f"is not JSON ({error.msg} at byte {error.pos + 1} of it); expected {expected}")
            continue
        yield from map(Noted, repairs)
        is_object = isinstance(value, dict)
        yield (where, value) if is_object else Refused(where, f"is {kind_of(value)}; expected {expected}")


def tolerant_objects(
    stream: BinaryIO, name: str, expected: str, is_entry: Callable[[Any], bool] | None = None
) -> Iterator[tuple[str, dict[str, Any]] | Noted | Refused]:
    """Yield (place, JSON object) for each object of each line, with the repairs it took (`tolerant.read_line`).

    Of a line that is broken in part, the whole objects come too, in the order of the line.
    """
    for item in raw_lines(stream, name):
        if isinstance(item, Refused):
            yield item
            continue
        number, raw = item
        if not raw.strip():
            continue
        where = f"{name}:{number}"
        line = read_line(raw, is_entry)
        yield from map(Noted, line.repairs)
        found: list[tuple[str, dict[str, Any]] | Refused] = []
        for index, value in enumerate(line.values):
            place = where if index == 0 else f"{where}, entry {index + 1}"
            refusal = Refused(place, f"is {kind_of(value)}; expected {expected}")
            found.append((place, value) if isinstance(value, dict) else refusal)
        if line.problem is not None:
            found.insert(line.values_before, Refused(where, f"{line.problem}; expected {expected}"))
        yield from found
