"""What an input consists of: a file, standard input, the files of a folder, or those of a zip archive.

Archives are read as streams and never unpacked to disk, so no name inside one can reach a path. What one may cost is
bounded before and while it is read: members, bytes, and bytes per compressed byte.
"""

import io
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from endocrine.pipeline.data.ingest.model import LeftOut, Refused
from endocrine.pipeline.data.ingest.rewound import Rewound

ZIP = b"PK\x03\x04"
MAX_FILES = 20_000
"""Files of a folder or an archive; what lies beyond is refused as a whole."""
MAX_UNPACKED_BYTES = 16 << 30
"""Bytes that the members of one archive may hold together."""
MAX_RATIO = 200
"""Unpacked bytes per packed byte; text packs 3 to 50 times, deflate at most 1032 times."""
RATIO_FROM_BYTES = 16 << 20
"""A member of fewer unpacked bytes may have any ratio: it cannot do harm."""
NEVER_CHATS = frozenset({".git", "__MACOSX", ".DS_Store", "node_modules", ".venv"})
"""Names of folders and files in which nobody keeps chats."""


class Unusable(Exception):
    """The input as a whole cannot be read: missing, empty, not readable. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of input."""

    name: str
    """For messages."""
    open: Callable[[], AbstractContextManager[BinaryIO]]
    size: int | None
    """Bytes; None: unknown."""
    alone: bool
    """The person named this very file, so it is read as they say; the files of a folder are picked."""


Sources = Iterator[Source | Refused | LeftOut]


def open_sources(file: str) -> Sources:
    """Give the inputs that `file` names, `-` being standard input.

    Raises Unusable at the first step where there is nothing that can be read.
    """
    if file == "-":
        return _stdin()
    path = Path(file)
    if path.is_dir():
        return _folder(path)
    try:
        if not path.is_file() and path.exists():  # a pipe can be opened once
            return iter([Source(file, _opener(path), None, True)])
        with path.open("rb") as stream:
            head = stream.read(len(ZIP))
    except FileNotFoundError:
        raise Unusable(f"{file}: no such file; give the path of an existing file or folder, or -") from None
    except OSError as error:
        raise Unusable(f"{file}: cannot be read ({error.strerror}); expected a readable file") from None
    if head == ZIP:
        return _archive(file, path, alone=True)
    return iter([Source(file, _opener(path), path.stat().st_size, True)])


def _stdin() -> Sources:
    stream = sys.stdin.buffer
    head = stream.read(len(ZIP))
    whole = cast(BinaryIO, Rewound(head, stream))
    if head != ZIP:
        yield Source("stdin", lambda: nullcontext(whole), None, True)
        return
    with tempfile.NamedTemporaryFile(suffix=".zip") as archive_file:  # an archive is read from its end
        shutil.copyfileobj(whole, archive_file)
        archive_file.flush()
        yield from _archive("stdin", Path(archive_file.name), alone=True)


def _folder(folder: Path) -> Sources:
    paths = []
    for path in _walk(folder):
        paths.append(path)
        if len(paths) > MAX_FILES:
            raise Unusable(f"{folder}: holds more than {MAX_FILES} files; expected fewer: give its folders one by one")
    if not paths:
        raise Unusable(f"{folder}: holds no file; expected a folder with exports or transcripts")
    return _files(paths)


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, by name; links that lead out of the folder are not followed."""
    root = folder.resolve()
    for path in sorted(folder.iterdir(), key=lambda entry: _natural(entry.name)):
        if path.name in NEVER_CHATS or (path.is_symlink() and not path.resolve().is_relative_to(root)):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _natural(name: str) -> list[tuple[int, str]]:
    """Order that puts `part-2` before `part-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _opener(path: Path) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: path.open("rb")


def _shown(path: Path | PurePosixPath) -> str:
    """The path as text that can be printed and written: a name need not be UTF-8."""
    return str(path).encode("utf-8", "replace").decode()


def _files(paths: list[Path]) -> Sources:
    for path in paths:
        try:
            with path.open("rb") as stream:
                head = stream.read(len(ZIP))
        except OSError as error:
            yield Refused(_shown(path), f"cannot be read ({error.strerror}); expected a readable file")
            continue
        if head == ZIP:
            yield from _archive(_shown(path), path, alone=False)
        else:
            yield Source(_shown(path), _opener(path), path.stat().st_size, False)


def _archive(name: str, path: Path, *, alone: bool) -> Sources:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            problem = _bomb(members)
            if problem is None:
                for info in sorted(members, key=lambda info: _natural(info.filename)):
                    yield from _member(name, archive, info)
            elif alone:
                raise Unusable(f"{name}: {problem}")
            else:
                yield Refused(name, problem)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        problem = f"is a zip archive that cannot be read ({error}); is the download complete?"
        if alone:
            raise Unusable(f"{name}: {problem}") from None
        yield Refused(name, problem)


def _bomb(members: list[zipfile.ZipInfo]) -> str | None:
    if len(members) > MAX_FILES:
        return f"holds {len(members)} files; expected at most {MAX_FILES}"
    total = sum(info.file_size for info in members)
    if total > MAX_UNPACKED_BYTES:
        return f"would unpack to {total} bytes; expected at most {MAX_UNPACKED_BYTES}"
    return None


def _member(archive_name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Sources:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    name = f"{archive_name}!{_shown(path)[:200]}"
    if NEVER_CHATS & set(path.parts):
        return
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename):
        yield Refused(name, "leads out of the archive; expected a relative path without `..`")
    elif info.flag_bits & 1:
        yield Refused(name, "is encrypted; expected an archive without a password")
    elif info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
        yield Refused(name, f"would unpack to more than {MAX_RATIO} times its size; expected text (a zip bomb?)")
    else:
        yield Source(name, lambda: _Member(archive, info), info.file_size, False)


class _Member(io.BufferedReader):
    """A member of an archive, read as a stream. A broken one ends with OSError, whatever zipfile calls it."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        try:
            opened = archive.open(info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise OSError(f"the archive is broken there ({error})") from None
        super().__init__(_Checked(opened), 1 << 16)


class _Checked(io.RawIOBase):
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except Exception as error:  # zlib.error, BadZipFile, EOFError: zipfile has no common one
            raise OSError(f"the archive is broken there ({error})") from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
