"""A backup as one encrypted file for another place: a tar archive through the `age` tool."""

import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.data.backup.bundle import validate
from endocrine.pipeline.data.backup.retention import time_of

SUFFIX = ".tar.age"
_RECIPIENT = re.compile(r"age1[0-9a-z]{20,200}")


class OffHostError(Exception):
    """No such file could be made or opened. The message names what was expected; never a key."""


def encrypt(folder: Path, recipient: str) -> Path:
    """Write a backup beside its folder as one file that only the recipient's identity opens; return its path."""
    if not _RECIPIENT.fullmatch(recipient):
        raise OffHostError(
            "--encrypt-to: expected an age recipient, `age1...`: `age-keygen` makes an identity with one"
        )
    target = folder.with_name(folder.name + SUFFIX)
    partial = target.with_name("." + target.name)
    child = subprocess.Popen(
        [_tool(), "--encrypt", "--recipient", recipient, "--output", str(partial)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    try:
        with tarfile.open(fileobj=child.stdin, mode="w|") as archive:
            archive.add(folder, arcname=folder.name, filter=_without_restored)
    except BrokenPipeError:
        pass  # the tool has ended: its exit code says so
    finally:
        _, complaint = child.communicate()
    if child.returncode:
        partial.unlink(missing_ok=True)
        raise OffHostError(f"age ended with {child.returncode}: {complaint.decode('utf-8', 'replace').strip()[:200]}")
    partial.replace(target)
    return target


def open_file(file: Path, identity: Path, directory: Path, seals: KeyedSeals | None = None) -> str:
    """Write an encrypted backup into the directory, validated before it has its name; return that name."""
    if not identity.is_file() or not file.is_file():
        raise OffHostError(f"{file if identity.is_file() else identity}: no such file")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".opening-") as name:
        child = subprocess.Popen(
            [_tool(), "--decrypt", "--identity", str(identity), str(file.resolve())],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            _unpack(child.stdout, Path(name), file)
        finally:
            child.kill()
            child.wait()
        found = [one for one in Path(name).iterdir() if time_of(one.name) is not None]
        if len(found) != 1:
            raise OffHostError(f"{file}: holds no backup")
        if errors := validate(found[0], seals)["errors"]:
            raise OffHostError(f"{file}: holds no valid backup: {', '.join(errors[:3])}")
        target = directory / found[0].name
        if target.exists():
            raise OffHostError(f"{target}: is there already")
        shutil.move(found[0], target)
        return target.name


def _unpack(stream: IO[bytes] | None, folder: Path, file: Path) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise OffHostError(f"{file}: cannot be opened with this identity, or is cut off ({error})") from None


def _without_restored(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """What restores have written into the folder is no part of the backup."""
    return None if info.name.split("/")[1:2] == ["restored"] else info


def _tool() -> str:
    found = shutil.which("age")
    if found is None:
        raise OffHostError("the tool `age` is not installed (Debian: apt-get install age); https://age-encryption.org")
    return found
