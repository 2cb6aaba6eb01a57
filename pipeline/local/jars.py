"""Kafka's jars: which ones, by the lock file, and where they are. Each is checked before it is used."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from endocrine.pipeline.local.cache import cache_folder, exclusively
from endocrine.pipeline.process.subprocesses import BrokerError

VARIABLE = "ENDOCRINE_KAFKA_JARS"
"""Names a folder that holds the jars of the lock file, for a machine that does not reach Maven Central."""
LOCK = "kafka-jars.lock.json"
Progress = Callable[[int, int | None], None]
"""Takes bytes done and bytes in all; None where that is not known."""


class Stopped(Exception):
    """Raise it in `progress` to end a fetch."""


class Jar(NamedTuple):
    """A jar of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int
    """Bytes."""

    @property
    def name(self) -> str:
        """File name, unique among the jars of the lock file."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        """As Maven writes them, group:artifact:version."""
        return f"{self.group}:{self.artifact}:{self.version}"


@cache
def locked() -> tuple[Jar, ...]:
    """Return the jars of the lock file."""
    content = json.loads(resources.files("endocrine.pipeline.local").joinpath(LOCK).read_text(encoding="utf-8"))
    split = [(*jar["coordinates"].split(":"), jar["sha256"], jar["bytes"]) for jar in content["jars"]]
    return tuple(Jar(*values) for values in split)


def kafka_version() -> str:
    """Return the version of Kafka in the lock file."""
    return next(jar.version for jar in locked() if jar.artifact == "kafka-clients")


def digest(jars: Iterable[Jar]) -> str:
    """Return a short name for exactly these jars."""
    return hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()[:12]


def wrong(folder: Path, jars: Iterable[Jar]) -> list[Jar]:
    """Return those that the folder does not hold byte for byte."""
    return [jar for jar in jars if _sha256(folder / jar.name) != jar.sha256]


def fetched() -> bool:
    """Return whether the jars are there, as locked, or in a folder that was named."""
    return VARIABLE in os.environ or not wrong(_folder(), locked())


def kafka_jars(progress: Progress | None = None) -> list[Path]:
    """Return the checked jars, for a class path; fetched into the cache of this user where they are not there yet.

    progress: called while fetching, from any thread, and while another process is. Raises BrokerError, and Stopped when
    `progress` does.
    """
    jars = locked()
    if given := os.environ.get(VARIABLE):
        if bad := wrong(Path(given), jars):
            raise BrokerError(
                f"{VARIABLE}: {len(bad)} of {len(jars)} jars are missing in {Path(given).absolute()} or differ from"
                f" the lock file, such as {bad[0].name}; expected Apache Kafka {kafka_version()} as locked."
            )
        return [Path(given).absolute() / jar.name for jar in jars]
    folder = _folder()
    if wrong(folder, jars):
        _fetch(folder, jars, progress)
    return [folder / jar.name for jar in jars]


def _folder() -> Path:
    return cache_folder() / f"kafka-{kafka_version()}-{digest(locked())}"


def _fetch(folder: Path, jars: tuple[Jar, ...], progress: Progress | None) -> None:
    """Each jar is checked, then moved to its place at once: a fetch that is cut short goes on from there."""
    from endocrine.pipeline.local.downloads import download  # what it imports takes long, and is needed once

    try:
        with exclusively(cache_folder(), lambda: progress(0, None) if progress else None):
            folder.mkdir(exist_ok=True)
            if missing := wrong(folder, jars):
                download(missing, folder, progress)
    except OSError as error:
        raise BrokerError(
            f"Apache Kafka's jars cannot be kept in {error.filename or folder}: {error.strerror or error}. Another"
            " place: XDG_CACHE_HOME=DIR."
        ) from None


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None
