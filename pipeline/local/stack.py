"""The local stack of a data folder: one Kafka node and one Valkey, started, found by others, and ended.

    async with LocalStack(Path(".endocrine")) as stack:
        settings = Settings(bootstrap=stack.bootstrap, redis_url=stack.redis_url)

The folder holds `kafka/`, `valkey/`, `stack.json` (processes and ports of the last start) and `stack.lock`.
"""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.valkey import ValkeyServer
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.subprocesses import BrokerError

MIB = 1 << 20
HEAP = "256m"
"""Java's heap: enough for the catalogue's topics and a person's records."""
PATIENT = {"broker.heartbeat.interval.ms": "2000", "broker.session.timeout.ms": "20000"}
"""Nobody else waits for the only node. On a busy machine it is late with its heartbeats, and one that is given up for
dead names no broker to clients. The price: one that crashed registers again only after so long."""
BOUNDED = {
    # A partition keeps about 4 MiB, and at most a segment more. A segment holds the largest batch of a changelog.
    "log.retention.bytes": str(4 * MIB),
    "log.segment.bytes": str(16 * MIB),
    # Only what is not in the newest segment is deleted or compacted, so a segment is closed soon.
    "log.roll.ms": str(15 * 60 * 1000),
    "log.cleaner.backoff.ms": "60000",
    "offsets.topic.num.partitions": "2",
    "offsets.topic.segment.bytes": str(2 * MIB),
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.segment.bytes": str(2 * MIB),
    "share.coordinator.state.topic.segment.bytes": str(2 * MIB),
    "metadata.log.segment.bytes": str(8 * MIB),
    "metadata.max.retention.bytes": str(16 * MIB),
    **PATIENT,
}
"""Kafka's settings that hold the folder below 1 GB, however long it is used by a person, and cost little."""
_END_S = 30.0
_POLL_S = 0.05


class RunningStack(NamedTuple):
    """What runs on a data folder now."""

    bootstrap: str | None
    """None: its Kafka is somewhere else."""
    redis_url: str | None
    """None: its Redis is somewhere else."""
    pids: dict[str, int]
    """Process ids of `kafka` and `valkey`, those that run."""
    stays: bool
    """Started by `endocrine up`: it does not end with a command."""

    def lost(self, *, kafka: bool, valkey: bool) -> list[str]:
        """Return the parts that are wanted and do not run, by the names that people know."""
        parts = (("Kafka", kafka, self.bootstrap), ("Valkey", valkey, self.redis_url))
        return [name for name, wanted, address in parts if wanted and address is None]


class LocalStack:
    """The stack of one data folder, owned by this process; an async context manager, or `start` and `stop`.

    Start it from the main thread (see `subprocesses.spawn`). kafka, valkey: which parts; False for one that is
    somewhere else. stays: the processes outlive us, until `end`.
    """

    def __init__(self, data_dir: Path, *, kafka: bool = True, valkey: bool = True, stays: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        last = _ports(self.data_dir)
        port, controller, redis = (last.get(name) for name in ("kafka", "controller", "valkey"))
        self.kafka = (
            KafkaNode(
                self.data_dir / "kafka",
                preferred=(port, controller),
                heap=HEAP,
                properties=BOUNDED,
                detached=stays,
            )
            if kafka
            else None
        )
        self.valkey = ValkeyServer(self.data_dir / "valkey", port=redis, detached=stays) if valkey else None
        self._stays = stays
        self._lock: IO[bytes] | None = None

    @property
    def bootstrap(self) -> str | None:
        """Kafka bootstrap server, host:port; None without Kafka. Known once started."""
        return self.kafka.bootstrap if self.kafka else None

    @property
    def redis_url(self) -> str | None:
        """URL of the read models' database; None without Valkey. Known once started."""
        return self.valkey.url if self.valkey else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start and wait until both answer. Raises BrokerError; failed or cancelled, it leaves no process.

        on_spawn: called when Kafka's process is there; it takes seconds from there to answer.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            if running(self.data_dir):
                await asyncio.to_thread(end, self.data_dir)  # it outlived an owner that was killed
            async with asyncio.TaskGroup() as group:
                if self.kafka:
                    group.create_task(self.kafka.start(on_spawn))
                if self.valkey:
                    group.create_task(self.valkey.start())
            self._write_state()
        except BaseExceptionGroup as failures:
            await self.stop()
            raise failures.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise
        if self._stays:
            self._release()

    async def stop(self) -> None:
        """End both in order, and wait. Safe to call twice, and to cancel."""
        await asyncio.gather(*(part.stop() for part in self._parts()))
        self._release()

    def died(self) -> str | None:
        """Return what to tell of a part that is not running any more; None while all are."""
        for part in self._parts():
            if part.pid is None:
                return f"{part.log.stem} died. Its log {part.log} ends with:\n{child.last_lines(part.log)}"
        return None

    def _parts(self) -> list[KafkaNode | ValkeyServer]:
        return [part for part in (self.kafka, self.valkey) if part is not None]

    def _take_lock(self) -> None:
        if self._lock is not None:
            raise BrokerError(f"this stack is already started (data folder {self.data_dir})")
        found = running(self.data_dir)
        lock = (self.data_dir / "stack.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise in_use(self.data_dir) from None
        if found and found.stays:
            lock.close()
            raise in_use(self.data_dir)
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write_state(self) -> None:
        port, controller = self.kafka.ports if self.kafka else (None, None)
        ports = {"kafka": port, "controller": controller, "valkey": self.valkey.port if self.valkey else None}
        # Of a part that is somewhere else this time, the ports are kept for the next.
        last = _ports(self.data_dir)
        state = {
            "owner": os.getpid(),
            "stays": self._stays,
            "bootstrap": self.bootstrap,
            "redis_url": self.redis_url,
            "ports": last | {name: port for name, port in ports.items() if port},
            "pids": {part.log.stem: part.pid for part in self._parts()},
        }
        part = self.data_dir / "stack.json.part"
        part.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        part.replace(self.data_dir / "stack.json")


def in_use(data_dir: Path) -> BrokerError:
    """Return the error that another process owns the stack of this folder, or that it stays."""
    state = _state(data_dir)
    where = f"the data folder {data_dir} (process {state.get('owner', '?')}, Kafka at {state.get('bootstrap', '?')})"
    how = "End it (`endocrine down`)" if state.get("stays") else "Stop it (Ctrl-C where it runs)"
    return BrokerError(
        f"another local stack uses {where}. {how}, or give this one a folder of its own: ENDOCRINE_DATA_DIR=DIR."
    )


def running(data_dir: Path) -> RunningStack | None:
    """Return the stack whose processes run on this folder now, None where none does."""
    data_dir = data_dir.absolute()
    state = _state(data_dir)
    found = state.get("pids")
    pids = {
        name: pid
        for name, pid in (found if isinstance(found, dict) else {}).items()
        # A pid alone may be another process by now.
        if isinstance(pid, int) and str(data_dir / name) in _command_line(pid)
    }
    if not pids:
        return None
    bootstrap, redis_url = state.get("bootstrap"), state.get("redis_url")
    return RunningStack(
        bootstrap if "kafka" in pids else None,
        redis_url if "valkey" in pids else None,
        pids,
        state.get("stays") is True,
    )


def has_data(data_dir: Path) -> bool:
    """Return whether a local Kafka was ever started on this folder."""
    return (data_dir / "kafka" / "logs" / "meta.properties").exists()


def end(data_dir: Path) -> bool:
    """End what runs on this folder, and wait; False when nothing does. Its data stays."""
    found = running(data_dir)
    if found is None:
        return False
    for pid in found.pids.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_S
    while left := running(data_dir):
        if time.monotonic() > deadline:
            for pid in left.pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_S)
    return True


def _state(data_dir: Path) -> dict[str, Any]:
    try:
        value = json.loads((data_dir / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _ports(data_dir: Path) -> dict[str, int]:
    """Ports of the last start, as far as they are known."""
    found = _state(data_dir).get("ports")
    return {name: port for name, port in found.items() if isinstance(port, int)} if isinstance(found, dict) else {}


def _command_line(pid: int) -> str:
    """A process's command line; empty when there is none, or only a zombie of it."""
    if Path("/proc/self/cmdline").exists():
        try:
            return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return shown.stdout
