"""The folder for what was fetched once, for all checkouts of this user."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.1


def cache_folder() -> Path:
    """Return `endocrine` in XDG_CACHE_HOME, by default `~/.cache/endocrine`. It may not exist yet."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    base = Path(given) if given and Path(given).is_absolute() else Path.home() / ".cache"
    return base / "endocrine"


@contextmanager
def exclusively(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the folder for this process, waiting for another that does; the lock ends with the process.

    waiting: called again and again while another process holds it; what it raises ends the wait. Raises OSError when
    the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waiting:
                    waiting()
                time.sleep(_POLL_S)
        yield
