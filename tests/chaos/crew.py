"""Workers and the tool connector as processes, and a supervisor that starts again what ended, as in production."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.settings import Settings

STOP_S = 60.0
"""Seconds a worker may take to stop when asked to."""
NOTICE_S = 180.0
"""Seconds a worker may take to notice that another has its name: it learns that from the broker, which may be away."""
RESTART_S = 1.0
"""Seconds until the supervisor starts a worker that ended on its own."""


Role = Literal["worker", "connector", "model"]
START = "from endocrine.pipeline.cli.main import main; main()"
ABLATIONS = {
    "no_seal_check": "from endocrine.pipeline.core.seals import KeyedSeals; "
    "KeyedSeals.valid = lambda self, topic, raw, headers: 'endocrine-seal' in headers; ",
    "read_uncommitted": "from endocrine.pipeline.kafka import clients; clients.ISOLATION = 'read_uncommitted'; ",
}
"""Parts of the design that a run can do without, as what a process runs before it starts."""
COMMANDS: Mapping[Role, tuple[str, ...]] = {
    "worker": ("worker",),
    "connector": ("connect", "tools"),
    "model": ("connect", "model"),
}


@dataclass
class Seat:
    """A place for a process. instance: name of a static member of its group, or None."""

    name: str
    instance: str | None
    log: Path
    """Of the last start: `<name>.<start>.log`."""
    role: Role = "worker"
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside the settings."""
    process: "subprocess.Popen[bytes] | None" = None
    busy: bool = False
    """A fault has it in hand: the supervisor leaves it alone."""
    removed: bool = False
    starts: int = 0


@dataclass
class Exit:
    """A process that ended and was not killed."""

    at: float
    worker: str
    code: int
    because: str
    """The last line of its log."""


@dataclass
class Crew:
    """The workers of a run, and its connector.

    findings: sentences about those that did not do as they must. exits: of those that ended on their own.
    """

    settings: Settings
    folder: Path
    begun: float
    ablation: str | None = None
    """Name of what is taken away from every process."""
    seats: list[Seat] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    _all: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def add(self, *, static: bool, environment: Mapping[str, str] | None = None) -> Seat:
        """A new seat, its worker started."""
        name = f"worker-{sum(seat.role == 'worker' for seat in self.seats) + 1}"
        log = self.folder / f"{name}.log"
        return self._taken(Seat(name, name if static else None, log, environment=environment or {}))

    def add_connector(self, environment: Mapping[str, str], role: Role = "connector") -> Seat:
        """The seat of the tool connector, started, or of another; a static member: a new one goes on at once."""
        return self._taken(Seat(role, role, self.folder / f"{role}.log", role, environment))

    def _taken(self, seat: Seat) -> Seat:
        self.seats.append(seat)
        self.start(seat)
        return seat

    def start(self, seat: Seat) -> None:
        """Start the seat's process; does not wait until it is ready."""
        values: dict[str, Any] = {
            **self.settings.model_dump(),
            "instance": seat.instance,
            "data_dir": self.folder / seat.name,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        environment |= {f"ENDOCRINE_{name.upper()}": str(value) for name, value in values.items() if value is not None}
        environment |= seat.environment
        environment["PYTHONFAULTHANDLER"] = "1"  # SIGABRT writes the stacks of all threads into the log
        seat.starts += 1
        seat.log = self.folder / f"{seat.name}.{seat.starts}.log"
        with seat.log.open("a") as log:
            log.write(f"--- started at {self.now():.1f} s\n")
        taken_away = "" if self.ablation is None else ABLATIONS[self.ablation]
        program = [sys.executable, "-c", f"{taken_away}{START}", *COMMANDS[seat.role]]
        seat.process = child.spawn(program, seat.log, env=environment)
        self._all.append(seat.process)

    def up(self, role: Role = "worker") -> list[Seat]:
        """Seats of this role whose process runs and is in no fault's hands."""
        return [
            seat
            for seat in self.seats
            if seat.role == role
            and not (seat.busy or seat.removed)
            and seat.process is not None
            and seat.process.poll() is None
        ]

    async def supervise(self) -> None:
        """Start again what ended on its own, until cancelled."""
        while True:
            for seat in self.seats:
                code = seat.process.poll() if seat.process is not None else None
                if code is not None and not (seat.busy or seat.removed):
                    self.note_exit(seat, code)
                    seat.busy = True
                    await asyncio.sleep(RESTART_S)
                    self.start(seat)
                    seat.busy = False
            await asyncio.sleep(0.1)

    def note_exit(self, seat: Seat, code: int) -> None:
        """Write down why a process ended."""
        self.exits.append(Exit(round(self.now(), 1), seat.name, code, child.last_lines(seat.log, 1).strip()))

    async def ended(self, process: "subprocess.Popen[bytes]", limit_s: float) -> int | None:
        """Its exit code; None when it still runs after `limit_s` seconds."""
        deadline = time.monotonic() + limit_s
        while (code := process.poll()) is None and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return code

    async def must_end(
        self, seat: Seat, process: "subprocess.Popen[bytes]", why: str, within: float = STOP_S
    ) -> int | None:
        """Wait for a process that has to end; a finding with its stacks in the log when it does not."""
        code = await self.ended(process, within)
        if code is None:
            self.findings.append(
                f"{seat.name} hangs: still running {within:.0f} s after {why} at {self.now() - within:.0f} s; its "
                f"stacks are in its log"
            )
            if seat.role == "worker":  # a connector has nothing to say on it, and would end
                process.send_signal(signal.SIGUSR1)
                await asyncio.sleep(1.0)
            process.send_signal(signal.SIGABRT)
            if await self.ended(process, 5) is None:
                process.kill()
        return code

    async def must_notice(self, seat: Seat, old: "subprocess.Popen[bytes]") -> int | None:
        """Wait for a worker whose name another one has; when the seat is given up meanwhile, the name is its own."""
        deadline = time.monotonic() + NOTICE_S
        while old.poll() is None and not seat.removed and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        if old.poll() is None and seat.removed:
            old.terminate()
            return await self.must_end(seat, old, "SIGTERM to the last one of its name")
        return await self.must_end(seat, old, f"{NOTICE_S:.0f} s beside another one of its name", within=0)

    async def tell(self) -> None:
        """Have every worker write into its log what it waits for."""
        for seat in self.up():
            assert seat.process is not None
            seat.process.send_signal(signal.SIGUSR1)
        await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """Ask all to stop; each must, with exit code 0."""
        seats = [seat for seat in self.seats if seat.process is not None and seat.process.poll() is None]
        for seat in seats:
            seat.busy = True
            assert seat.process is not None
            seat.process.terminate()
        for seat in seats:
            assert seat.process is not None
            if code := await self.must_end(seat, seat.process, "the last SIGTERM"):
                self.findings.append(f"{seat.name} ended with exit code {code} on the last SIGTERM")
                self.note_exit(seat, code)

    def kill(self) -> None:
        """No process of this crew outlives this call."""
        for process in self._all:
            if process.poll() is None:
                process.kill()
                process.wait()
