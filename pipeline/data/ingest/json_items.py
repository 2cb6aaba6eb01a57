"""The objects of a JSON array, one at a time and without holding the file: conversations.json may be hundreds of MB.

Only brackets and whole strings are looked at here; each object is then parsed by itself, so that one that is broken
costs that one only, and a file that was cut off keeps all that lies before the cut.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from endocrine.pipeline.data.ingest.model import Refused
from endocrine.pipeline.data.ingest.rewound import BOM

CHUNK_BYTES = 1 << 18
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_FIRST = re.compile(rb"\S")


def json_items(
    stream: BinaryIO, name: str, noun: str, chunk: int = CHUNK_BYTES
) -> Iterator[tuple[int, bytes] | Refused]:
    """Yield (number from 1, bytes of the object) for each object of the array, or for the one object the file holds.

    `noun` is what an object is called in messages. Memory: a few times the longest object.
    """
    buffer, ended = _read_start(stream, chunk)
    first = _FIRST.search(buffer)
    if first is None:
        return
    opening = first.group()
    if opening not in (b"[", b"{"):
        yield Refused(f"{name}:1", f"begins with {_shown(buffer[first.start() :])}; expected a JSON array of {noun}s")
        return
    base = 1 if opening == b"[" else 0
    number, depth = 0, base
    seek = gap = first.start() + base
    """Where to look for the next token, and where the last object (or the opening bracket) ended."""
    start = -1
    while True:
        for token in _TOKEN.finditer(buffer, seek):
            text = token.group()
            if text == b'"':
                break
            seek = token.end()
            if text in (b"{", b"["):
                if depth == base:
                    problem = _between(buffer[gap : token.start()])
                    if problem:
                        yield Refused(f"{name}: after {noun} {number}", f"{problem}; expected the next {noun}")
                    start, number = token.start(), number + 1
                depth += 1
            elif text in (b"}", b"]"):
                if depth == base:
                    problem = _between(buffer[gap : token.start()])
                    rest = buffer[token.end() :].strip()
                    if problem:
                        yield Refused(f"{name}: after {noun} {number}", f"{problem}; expected the next {noun}")
                    if text != b"]" or base == 0 or rest:
                        found = rest if text == b"]" and base else buffer[token.start() :]
                        yield Refused(f"{name}: after {noun} {number}", f"{_shown(found)} follows; expected the end")
                    return
                depth -= 1
                if depth == base:
                    yield number, buffer[start : token.end()]
                    start, gap = -1, token.end()
        if ended:
            break
        keep = start if start >= 0 else gap
        buffer, seek, gap = buffer[keep:], seek - keep, max(gap - keep, 0)
        start = 0 if start >= 0 else -1
        more = stream.read(max(chunk, len(buffer)))  # doubling: a long object is not copied once per chunk
        ended = not more
        buffer += more
    if start >= 0:
        yield Refused(f"{name}: {noun} {number}", "the file ends in the middle of it; is the download complete?")
    elif base:
        where = f"{name}: after {noun} {number}" if number else f"{name}:1"
        yield Refused(where, "the file ends without the closing ]; is the download complete?")
    elif problem := _between(buffer[gap:]):
        yield Refused(f"{name}: after {noun} {number}", f"{problem}; expected the end")


def _read_start(stream: BinaryIO, chunk: int) -> tuple[bytes, bool]:
    """The first bytes that are not all white space, without byte order mark; and whether that is all there is."""
    buffer = stream.read(max(chunk, len(BOM))).removeprefix(BOM)
    while not buffer.strip():
        more = stream.read(chunk)
        if not more:
            return b"", True
        buffer = more
    return buffer, False


def _between(gap: bytes) -> str | None:
    """What is wrong with the bytes between two objects: white space and a comma are right."""
    rest = gap.strip().removeprefix(b",").strip().removesuffix(b",").strip()
    return f"found {_shown(rest)}" if rest else None


def _shown(data: bytes) -> str:
    return repr(data[:20].decode(errors="replace"))
