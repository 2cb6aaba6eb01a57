"""The data folder of a run: one run at a time, and where the feed goes on."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from endocrine.pipeline.local.stack import end
from endocrine.pipeline.process.subprocesses import BrokerError


class InUse(BrokerError):
    """Another run uses the folder."""


@contextmanager
def held(lock: Path, folder: Path, command: str) -> Iterator[None]:
    """Hold the folder for this process, by a lock that ends with the process. Raises InUse."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "?"
            raise InUse(
                f"another `endocrine {command}` (process {owner}) uses the data folder {folder.absolute()}. Stop it"
                " (Ctrl-C where it runs), or give this one a folder of its own: ENDOCRINE_DATA_DIR=DIR."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def emptied(folder: Path) -> None:
    """Make the folder empty: whatever an earlier run left in it is removed, a stack that runs on it is ended."""
    if folder.exists():
        end(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


class FeedPosition:
    """Where the feed goes on after a restart: how many lines of the endless story were sent, per broker.

    Kept in `feed.json`. A file that cannot be read counts as none: the story begins again.
    """

    def __init__(self, folder: Path, broker: str) -> None:
        self._file = folder / "feed.json"
        self._broker = broker

    def read(self) -> int:
        """Return lines sent so far, over all rounds."""
        sent = self._all().get(self._broker, 0)
        return sent if isinstance(sent, int) and sent >= 0 else 0

    def began(self) -> float | None:
        """Return when the round under way began, seconds since 1970; None where that is not known."""
        began = self._all().get(f"{self._broker} began")
        return began if isinstance(began, float) else None

    def write(self, sent: int, began: float) -> None:
        """Remember it, and when the round under way began."""
        part = self._file.with_suffix(".json.part")
        part.write_text(json.dumps(self._all() | {self._broker: sent, f"{self._broker} began": began}) + "\n")
        part.replace(self._file)

    def _all(self) -> dict[str, object]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
