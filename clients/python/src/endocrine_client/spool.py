"""Records that the gateway does not have yet: in order, on disk, bounded.

SQLite's file, so that a process that dies leaves it whole, and several processes may share it.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from endocrine_client.protocol import Request

MOST_BYTES = 64 << 20
"""Bound of a spool, counting contents and `OVERHEAD` for each record."""
OVERHEAD = 128
_BUSY_S = 1.0
"""Seconds that another process may hold the file before a record is given up."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, path TEXT NOT NULL, identity TEXT NOT NULL,
    content BLOB NOT NULL, size INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS of_identity ON record (identity, seq);
CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON record BEGIN UPDATE total SET bytes = bytes + new.size; END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON record BEGIN UPDATE total SET bytes = bytes - old.size; END;
"""
_log = logging.getLogger("endocrine_client")


class TooLarge(ValueError):
    """A record is larger than the whole spool."""


def default_path(url: str, key: str | None) -> Path:
    """`$XDG_STATE_HOME/endocrine/spool-DIGEST.db`: one for each gateway and key."""
    named = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    digest = hashlib.sha256(f"{url}\0{key or ''}".encode()).hexdigest()[:12]
    return Path(named) / "endocrine" / f"spool-{digest}.db"


def size_of(record: Request) -> int:
    """Bytes that a record counts for."""
    return len(record.content) + len(record.path) + len(record.key) + len(record.identity) + OVERHEAD


class Spool:
    """A queue of records on disk. path: its file; None: in memory, lost with the process. May be used by any thread.

    A file that cannot be opened is put aside (`.broken`) where it is damaged, else the records are kept in memory.
    """

    def __init__(self, path: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._db = _opened(path)

    def append(self, record: Request) -> int:
        """Add a record at the end; the oldest go where there is no room. Returns their number.

        Raises TooLarge, sqlite3.Error.
        """
        size = size_of(record)
        if size > self.most_bytes:
            raise TooLarge(f"a record of {size} bytes; expected at most {self.most_bytes}")
        went = 0
        with self._transaction() as db:
            while db.execute("SELECT bytes FROM total").fetchone()[0] + size > self.most_bytes:
                db.execute("DELETE FROM record WHERE seq = (SELECT min(seq) FROM record)")
                went += 1
            db.execute(
                "INSERT INTO record (key, path, identity, content, size) VALUES (?, ?, ?, ?, ?)",
                (record.key, record.path, record.identity, record.content, size),
            )
        return went

    def first(self, identity: str | None = None) -> tuple[int, Request] | None:
        """The oldest record, of one identity or of all, with its number. Raises sqlite3.Error."""
        condition, given = ("", ()) if identity is None else ("WHERE identity = ?", (identity,))
        asked = f"SELECT seq, path, identity, content, key FROM record {condition} ORDER BY seq LIMIT 1"
        with self._lock:
            row = self._db.execute(asked, given).fetchone()
        return None if row is None else (row[0], Request(*row[1:]))

    def remove(self, seq: int) -> None:
        """Take a record out; one that is gone does no harm. Raises sqlite3.Error."""
        with self._transaction() as db:
            db.execute("DELETE FROM record WHERE seq = ?", (seq,))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM record").fetchone()[0])

    @property
    def bytes(self) -> int:
        """Bytes that its records count for."""
        with self._lock:
            return int(self._db.execute("SELECT bytes FROM total").fetchone()[0])

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _connected(":memory:")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What people and models wrote is in it: for its owner alone.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            return _connected(str(path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            broken = path.with_name(path.name + ".broken")
            path.replace(broken)
            _log.error("the spool %s is damaged; it is now %s, and a new one begins", path, broken.name)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            return _connected(str(path))
    except (OSError, sqlite3.Error) as error:
        _log.error("the spool %s cannot be used (%s); records are kept in memory", path, error)
        return _connected(":memory:")


def _connected(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # WAL: a commit needs no fsync, and the file is whole after a kill. Deleted contents are overwritten.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
