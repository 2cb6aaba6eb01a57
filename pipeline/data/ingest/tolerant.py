"""JSON that strict parsers refuse and that people's files hold: lone surrogates, NUL runs, torn and joined entries.

What can be read without guessing is read, and each repair is named so that it can be counted. Nothing is invented: a
half surrogate becomes U+FFFD, as any viewer of the file shows it.
"""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

SURROGATE = "lone surrogate"
NUL = "NUL bytes"
CONTROL = "control characters"
NOT_UTF8 = "invalid UTF-8"
TORN_STARTS = 64
"""Places in a torn line at which a whole entry is looked for."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_NULS = re.compile(rb"\0+")
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


@dataclass(slots=True)
class Line:
    """What one line of JSON lines holds."""

    values: list[Any] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    problem: str | None = None
    """What is wrong with the part that could not be read; None where everything was."""
    values_before: int = 0
    """Return the number of values before that part."""


def loads(raw: bytes) -> tuple[Any, list[str]]:
    """Parse one JSON value; return it with the names of the repairs it took.

    Raises orjson.JSONDecodeError, whose message is about the bytes as they came, where no repair helps.
    """
    try:
        return orjson.loads(raw), []
    except orjson.JSONDecodeError as error:
        strict = error
    repairs: list[str] = []
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace")
        repairs.append(NOT_UTF8)
    if "\0" in text:
        text = text.replace("\0", "")
        repairs.append(NUL)
    try:
        value, replaced = _without_surrogates(_DECODER.decode(text.strip()))
    except (ValueError, RecursionError):
        raise strict from None
    return value, repairs + ([SURROGATE] if replaced else [] if repairs else [CONTROL])


def read_line(raw: bytes, is_entry: Callable[[Any], bool] | None = None) -> Line:
    """Read the JSON values of one line; usually one.

    A crash leaves NUL runs, entries cut off in the middle, and entries joined to the line before: whole values on the
    line are kept, the broken rest is a problem. `is_entry` says of an object whether it is an entry, so that a part
    of a broken entry is not taken for one; without it nothing is looked for behind a broken part. The line may not
    hold invalid UTF-8 (encoded surrogates apart): that is a problem, not a repair.
    """
    try:
        return Line([orjson.loads(raw)])
    except orjson.JSONDecodeError as error:
        strict = f"is not JSON ({error.msg} at column {error.colno})"
    if b"\0" not in raw:
        return _segment(raw, strict, is_entry)
    segments = [segment for segment in _NULS.split(raw) if segment.strip()]
    if not segments:
        return Line(problem="holds NUL bytes only")
    found = [_segment(segment, strict, is_entry) for segment in segments]
    if any(part.problem for part in found):
        joined = _segment(b"".join(segments), strict, None)
        if joined.problem is None:
            return Line(joined.values, [NUL, *joined.repairs])
    line = Line(repairs=[NUL])
    for part in found:
        if part.problem and line.problem is None:
            line.problem, line.values_before = part.problem, len(line.values) + part.values_before
        line.values += part.values
        line.repairs += part.repairs
    return line


def _segment(raw: bytes, strict: str, is_entry: Callable[[Any], bool] | None) -> Line:
    with contextlib.suppress(orjson.JSONDecodeError):
        return Line([orjson.loads(raw)])
    try:
        text = raw.decode("utf-8", "surrogatepass").strip()
    except UnicodeDecodeError as error:
        return Line(problem=f"is not UTF-8 (byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line)")
    line, at, tries = Line(), 0, 0
    while at < len(text):
        try:
            value, at = _DECODER.raw_decode(text, at)
            value, replaced = _without_surrogates(value)
        except (ValueError, RecursionError):
            line.problem, line.values_before = strict, len(line.values)
            if is_entry is None:
                break
            at = text.find('{"', at + 1)
            while at >= 0 and tries < TORN_STARTS and not _is_whole(text, at, is_entry):
                at, tries = text.find('{"', at + 1), tries + 1
            if at < 0 or tries >= TORN_STARTS:
                break
            continue
        line.values.append(value)
        if replaced:
            line.repairs.append(SURROGATE)
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
    if line.values and not line.repairs and line.problem is None:
        line.repairs.append("joined entries" if len(line.values) > 1 else CONTROL)
    return line


def _is_whole(text: str, at: int, is_entry: Callable[[Any], bool]) -> bool:
    try:
        value, _ = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return False
    return is_entry(value)


def _without_surrogates(value: Any) -> tuple[Any, bool]:
    """Replace half surrogates by U+FFFD and join halves that belong together; say whether one was replaced."""
    if isinstance(value, str):
        if not _SURROGATES.search(value):
            return value, False
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), True
    if isinstance(value, list):
        items = [_without_surrogates(item) for item in value]
        return [item for item, _ in items], any(replaced for _, replaced in items)
    if isinstance(value, dict):
        pairs = [(_without_surrogates(key), _without_surrogates(item)) for key, item in value.items()]
        return {key: item for (key, _), (item, _) in pairs}, any(k[1] or i[1] for k, i in pairs)
    return value, False
