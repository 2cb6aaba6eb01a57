"""Replays that pages start: each is a command of ours in a process of its own, few at a time, that can be stopped.

The process works at a lower priority and ends with the gateway. Results are kept for the life of the gateway, and no
more than the newest of them.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from endocrine.pipeline.process.subprocesses import end, ended, spawn

PROGRAM = (sys.executable, "-m", "endocrine.pipeline.cli")
MOST_OUTPUT = 64 << 20
"""Bytes of a report that are read; a longer one is not shown."""
_LOG_TAIL = 16 << 10
_GRACE_S = 5.0
_POLL_S = 0.5
_NICE = 10
Kind = Literal["verify", "what-if", "chains"]
Status = Literal["running", "done", "stopped", "failed"]
CANNOT = 2
"""Exit code of a command that could not do it."""


class Busy(Exception):
    """As many run as may. The message says so."""


@dataclass(frozen=True)
class Progress:
    """How far a task is."""

    step: str
    done: int
    total: int

    @property
    def share(self) -> float:
        """Percent."""
        return round(100 * min(1.0, self.done / self.total), 1) if self.total else 0.0


@dataclass
class Task:
    """One replay."""

    id: str
    kind: Kind
    about: str
    """What was asked, for a person."""
    by: str
    begun: float
    """Seconds since 1970."""
    folder: Path
    process: "subprocess.Popen[bytes]" = field(repr=False)
    audit_id: str | None = None
    """The turn that it is to prove."""
    status: Status = "running"
    over: float | None = None
    report: dict[str, Any] | None = None
    """What the command reported."""
    error: str | None = None
    stopped_by: str | None = None

    def progress(self) -> Progress | None:
        """Return the last progress that the command wrote; None before the first."""
        if self.status != "running":
            return None
        for line in reversed(_tail(self.folder / "log")):
            with suppress(orjson.JSONDecodeError, KeyError, TypeError):
                found = orjson.loads(line)
                return Progress(str(found["step"]), int(found["done"]), int(found["total"]))
        return None


class Tasks:
    """All of this process.

    environment: variables of the commands, beside ours. running: how many may run. kept: finished ones that are kept.
    longest_s: seconds after which one is stopped.
    """

    def __init__(
        self,
        environment: Callable[[], Mapping[str, str]],
        *,
        running: int = 2,
        kept: int = 20,
        longest_s: float = 3600.0,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._environment, self._program = environment, program
        self._most, self._kept, self._longest_s = running, kept, longest_s
        self._tasks: dict[str, Task] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}

    def start(
        self,
        kind: Kind,
        arguments: Sequence[str],
        *,
        about: str,
        by: str,
        policy: bytes | None = None,
        audit_id: str | None = None,
    ) -> Task:
        """Start a command. policy: content of the file to give as `--policy`.

        Raises Busy, OSError; ValueError for an argument with a NUL.
        """
        if sum(one.status == "running" for one in self._tasks.values()) >= self._most:
            raise Busy(f"{self._most} replays run already; stop one, or wait")
        folder = Path(tempfile.mkdtemp(prefix="endocrine-console-"))
        try:
            argv = [*self._program, *arguments]
            if policy is not None:
                (folder / "policy.yaml").write_bytes(policy)
                argv += ["--policy", str(folder / "policy.yaml")]
            # What the command leaves in its temporary folder goes with ours, however it ends.
            env = {**os.environ, **self._environment(), "TMPDIR": str(folder)}
            process = spawn(argv, folder / "log", output=folder / "report.json", env=env)
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with suppress(OSError):  # it may be gone already
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        task = Task(secrets.token_urlsafe(9), kind, about, by, time.time(), folder, process, audit_id)
        self._tasks[task.id] = task
        self._watching[task.id] = asyncio.create_task(self._watch(task))
        self._forget_oldest()
        return task

    def get(self, name: str) -> Task | None:
        """Return a task; None where it is not kept."""
        return self._tasks.get(name)

    def listed(self) -> list[Task]:
        """Return all that are kept, newest first."""
        return list(reversed(self._tasks.values()))

    def of_turn(self, audit_id: str) -> Task | None:
        """Return the newest task that is to prove a turn."""
        return next((one for one in self.listed() if one.audit_id == audit_id), None)

    def stop(self, task: Task, by: str) -> None:
        """Stop one that runs; another stays as it is."""
        if task.status == "running" and task.stopped_by is None:
            task.stopped_by = by
            task.process.terminate()

    async def finished(self, task: Task) -> None:
        """Return once a task is over."""
        watching = self._watching.get(task.id)
        if watching is not None:
            await asyncio.wait({watching})

    async def _watch(self, task: Task) -> None:
        why = None
        try:
            try:
                async with asyncio.timeout(self._longest_s):
                    while task.process.poll() is None:
                        with suppress(TimeoutError):
                            async with asyncio.timeout(_GRACE_S):
                                await ended(task.process, _POLL_S)
                        if task.stopped_by is not None and task.process.poll() is None:
                            task.process.kill()
            except TimeoutError:
                why = f"It took longer than {self._longest_s:g} s and was stopped."
                await asyncio.to_thread(end, task.process, _GRACE_S)
            await asyncio.to_thread(_settle, task, why)
        finally:
            end(task.process, 0.0)  # where the gateway ends
            if task.status == "running":
                task.status = "failed"
            shutil.rmtree(task.folder, ignore_errors=True)
            del self._watching[task.id]

    def _forget_oldest(self) -> None:
        over = [name for name, one in self._tasks.items() if one.status != "running"]
        for name in over[: max(0, len(over) - self._kept)]:
            del self._tasks[name]


def _settle(task: Task, why: str | None) -> None:
    """Note how it ended, and what it reported."""
    code, status = task.process.returncode, "done"
    if why is not None or task.stopped_by is not None:
        status, task.error = "stopped", why or f"{task.stopped_by} stopped it."
    elif code < 0 or code == CANNOT:
        status, task.error = "failed", _why(task.folder, code)
    else:
        task.report = _report(task.folder / "report.json")
        if task.report is None:
            status, task.error = "failed", f"Its report is longer than {MOST_OUTPUT} bytes, or no JSON."
    task.over, task.status = time.time(), status  # type: ignore[assignment]


def _report(file: Path) -> dict[str, Any] | None:
    with suppress(OSError, orjson.JSONDecodeError):
        if file.stat().st_size <= MOST_OUTPUT:
            found = orjson.loads(file.read_bytes())
            return found if isinstance(found, dict) else None
    return None


def _why(folder: Path, code: int) -> str:
    """What the command wrote of its failure; the last lines that are no progress."""
    lines = [line for line in _tail(folder / "log") if not line.startswith((b"{", b"broker ", b"Kafka "))]
    text = b"\n".join(lines[-12:]).decode("utf-8", "replace").replace(f"{folder}/", "").removeprefix("error: ")
    return text[-4000:] or f"The command ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}."


def _tail(file: Path) -> list[bytes]:
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - _LOG_TAIL))
            return [line for line in log.read().splitlines() if line.strip()]
    except OSError:
        return []
