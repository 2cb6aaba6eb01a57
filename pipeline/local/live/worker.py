"""The worker as a child process: started, watched, restarted with growing pauses, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.settings import Settings, environment

RESTARTS = 5
"""Times a worker that dies is started again; after that something is wrong that a restart does not repair."""
FIRST_PAUSE_S = 1.0
"""Pause before the first restart; each further one is twice as long, 31 s in all."""
STEADY_S = 60.0
"""A worker that lived this long starts the count anew."""
STOP_GRACE_S = 20.0
"""Seconds it may take to finish its batches before it is killed; its state is safe either way."""
READY_S = 120.0
"""Seconds that it may take to be ready; then it writes to its log what it waits for, and is started again."""
_DUMP_S = 2.0
UNUSABLE = 2
"""Exit code of a worker whose settings or policy cannot be used: a restart would not help."""
_POLL_S = 0.05
_STEADY_POLL_S = 0.25
"""Seconds between looks at a worker that is up."""


class WorkerFailed(RuntimeError):
    """The worker does not stay up. The message names its log and how that ends."""


class WorkerChild:
    """One worker process. `run` keeps it alive until cancelled; then `stop`.

    note: called with what a person should know. bury: called after a death, before the restart. name, command: of
    another long-lived command of ours that takes `--ready-file`, such as a connector. extra: environment variables;
    without: those it does not get.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        note: Callable[[str], None],
        bury: Callable[[], Awaitable[object]],
        restarts: int = RESTARTS,
        name: str = "worker",
        command: Sequence[str] = ("worker",),
        extra: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log = settings.data_dir / f"{name}.log"
        self.ready = asyncio.Event()
        """Set while a worker is up that has taken over its partitions."""
        self._ready_file = settings.data_dir / f"{name}.ready"
        self._command = command
        self._extra = extra or {}
        self._without = without
        self._settings = settings
        self._note = note
        self._bury = bury
        self._restarts = restarts
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def run(self) -> None:
        """Start it, and again whenever it dies; from the main thread. Raises WorkerFailed when it dies too often."""
        deaths = 0
        while True:
            started = time.monotonic()
            self._spawn()
            code = await self._ended()
            self.ready.clear()
            if time.monotonic() - started > STEADY_S:
                deaths = 0
            deaths += 1
            if code == UNUSABLE or deaths > self._restarts:
                raise WorkerFailed(self._why(code, deaths))
            pause = FIRST_PAUSE_S * 2 ** (deaths - 1)
            self._note(
                f"the {self.name} ended ({_exit_text(code)}); restart {deaths} of {self._restarts} in {pause:.0f} s;"
                f" {self.log}"
            )
            await self._bury()
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """End it, killed if it does not end by itself."""
        await asyncio.to_thread(child.end, self._process, STOP_GRACE_S)
        self._ready_file.unlink(missing_ok=True)

    def _spawn(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        command: list[str | Path] = [sys.executable, "-m", "endocrine.pipeline.cli", *self._command]
        command += ["--ready-file", self._ready_file]
        env = {**os.environ, **environment(self._settings), **self._extra}
        env = {variable: text for variable, text in env.items() if variable not in self._without}
        # Its broker ends with us too, and a worker that waits for a broker takes long to end; a kill loses nothing.
        self._process = child.spawn(command, self.log, env=env, orphan_signal=signal.SIGKILL)

    async def _ended(self) -> int:
        assert self._process is not None
        due = time.monotonic() + READY_S
        while (code := self._process.poll()) is None:
            if not self.ready.is_set() and self._ready_file.exists():
                self.ready.set()
            if not self.ready.is_set() and time.monotonic() > due:
                self._note(f"the {self.name} was not ready after {READY_S:.0f} s; it is started again; {self.log}")
                self._process.send_signal(signal.SIGUSR1)  # its tasks, into its log
                await asyncio.sleep(_DUMP_S)
                self._process.kill()
                due = float("inf")
            if self.ready.is_set():
                return await child.ended(self._process, _STEADY_POLL_S)
            await asyncio.sleep(_POLL_S)
        return code

    def _why(self, code: int, deaths: int) -> str:
        times = "" if deaths == 1 else f" {deaths} times in a row"
        log = f"Its log {self.log} ends with:\n{child.last_lines(self.log)}"
        return f"the {self.name} ended{times} ({_exit_text(code)}). {log}"


def _exit_text(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
