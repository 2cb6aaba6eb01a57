"""The embedded broker: one small process that speaks the Kafka and the Redis protocol on loopback (`noida-db`).

For trying things out and for tests, with nothing to install. It answers a write before it is on disk, and saves about
once a second and when it is asked to stop: read docs/brokers.md before trusting it with anything.

    async with EmbeddedBroker(Path(".endocrine")) as broker:
        settings = Settings(bootstrap=broker.bootstrap, redis_url=broker.redis_url)
"""

import asyncio
import fcntl
import json
import os
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import IO, Any, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from pipeline import child
from pipeline.child import BrokerError

START_TIMEOUT_S = 60.0
"""Seconds until a start is given up; starting is 50 ms empty and about 1 s per 250 MB saved."""
STOP_GRACE_S = 60.0
"""Seconds it may take to save its data before it is killed; 250 MB take 2 s."""
_POLL_S = 0.02
_TRIES = 3
"""Starts with other free ports when one was taken by another process between choosing and using it."""


def binary() -> Path:
    """The broker's own program inside the `noida-db` package (its console script would be a second process)."""
    try:
        path = Path(str(resources.files("noida_db").joinpath("noida-db")))
    except ModuleNotFoundError:
        path = Path("noida_db/noida-db")
    if not path.is_file():
        raise BrokerError(
            f"the embedded broker's program is missing: {path} (package noida-db). Run `make install`, or use Apache"
            " Kafka (`make kafka`, then ENDOCRINE_BOOTSTRAP=127.0.0.1:9092)."
        )
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


async def answers_metadata(bootstrap: str) -> bool:
    """Whether a Kafka broker answers a metadata request there, now."""
    if not child.port_answers(int(bootstrap.rpartition(":")[2])):
        return False  # before aiokafka, which logs an error for each refused connection
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


def running(data_dir: Path) -> dict[str, Any] | None:
    """What the embedded broker now running on this folder wrote about itself (pid, bootstrap, redis_url), or None."""
    try:
        with (data_dir / "broker.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_json(data_dir / "broker.json")
    except OSError:
        return None
    return None


def end_survivor(data_dir: Path) -> None:
    """End a broker that outlived a killed owner (where the kernel does not do that for us, or is just doing it)."""
    if (data_dir / "broker" / "noida.control.json").exists():
        down: list[str | Path] = [binary(), "down", "--data-dir", data_dir / "broker"]
        subprocess.run(down, stdin=subprocess.DEVNULL, capture_output=True, timeout=STOP_GRACE_S, check=False)


class EmbeddedBroker:
    """One embedded broker on one data folder; an async context manager, or `start` and `stop`.

    The folder holds `broker/` (its data), `broker.log`, `broker.json` (ports of the last run) and `broker.lock`. Start
    it from the main thread (see `pipeline.child.spawn`). kafka=False: Redis alone. kafka_port, redis_port: fixed ports;
    by default those of the last run on this folder if free, else any free ones.
    """

    def __init__(
        self, data_dir: Path, *, kafka: bool = True, kafka_port: int | None = None, redis_port: int | None = None
    ) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "broker.log"
        self._kafka = kafka
        self._fixed = {"kafka": kafka_port, "redis": redis_port}
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Kafka bootstrap server, host:port. Known once started."""
        return f"127.0.0.1:{self._ports['kafka']}"

    @property
    def redis_url(self) -> str:
        """URL of Redis database 12, where the read models live. Known once started."""
        return f"redis://127.0.0.1:{self._ports['redis']}/12"

    @property
    def pid(self) -> int | None:
        """Process id while running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start and wait until it answers. Raises BrokerError; a start that fails or is cancelled leaves no process."""
        program = binary()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            end_survivor(self.data_dir)
            for attempt in range(1, _TRIES + 1):
                self._choose_ports()
                self._launch(program)
                if await self._ready():
                    self._remember_ports()
                    return
                if attempt == _TRIES or "already in use" not in child.last_lines(self.log, 3):
                    raise self._died()
        except BaseException:
            self._end()
            raise

    async def stop(self) -> None:
        """Ask it to save and end, and wait; killed after STOP_GRACE_S. Safe to call twice, and to cancel."""
        # In a thread and shielded: a second Ctrl-C must not cut the saving short nor leave the process behind.
        await asyncio.shield(asyncio.to_thread(self._end))

    def kill(self) -> None:
        """kill -9, for tests: what was not saved yet is lost."""
        if self._process is not None:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        child.end(self._process, STOP_GRACE_S)
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        if self._lock is not None:
            raise BrokerError(f"this broker is already started (data folder {self.data_dir})")
        lock = (self.data_dir / "broker.lock").open("ab")
        deadline = time.monotonic() + 1  # a reader asking whether we run holds it for an instant
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_S)
                    continue
                lock.close()
                other = _read_json(self.data_dir / "broker.json") or {}
                raise BrokerError(
                    f"another run uses the data folder {self.data_dir.absolute()} (process {other.get('owner', '?')},"
                    f" broker at {other.get('bootstrap', '?')}). Stop it (Ctrl-C where it runs), or give this run a"
                    " folder of its own: ENDOCRINE_DATA_DIR=DIR."
                ) from None
        self._lock = lock

    def _choose_ports(self) -> None:
        last = _read_json(self.data_dir / "broker.json") or {}
        for service, fixed in self._fixed.items():
            if fixed is not None and not child.port_is_free(fixed):
                raise BrokerError(f"port {fixed} for {service} is taken by another process: give another, or none.")
            taken = self._ports.get("kafka") if service == "redis" else None
            remembered = last.get(f"{service}_port")
            port = fixed or child.free_port(remembered if isinstance(remembered, int) else None)
            while port == taken:
                port = child.free_port()
            self._ports[service] = port

    def _launch(self, program: Path) -> None:
        services = [service for service in ("kafka", "redis") if self._kafka or service == "redis"]
        ports = [part for service in services for part in (f"--{service}-port", str(self._ports[service]))]
        argv: list[str | Path] = [
            program,
            "start",
            "--only",
            ",".join(services),
            *ports,
            "--data-dir",
            self.data_dir / "broker",
        ]
        try:
            self._process = child.spawn(argv, self.log)
        except OSError as error:
            raise BrokerError(
                f"the embedded broker cannot be run here: {program}: {error}. Use Apache Kafka (`make kafka`)."
            ) from error

    async def _ready(self) -> bool:
        """True once it answers; False when it died."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            redis_up = child.port_answers(self._ports["redis"])
            if redis_up and (not self._kafka or await answers_metadata(self.bootstrap)):
                return self._process.poll() is None
            await asyncio.sleep(_POLL_S)
        raise BrokerError(
            f"the embedded broker did not answer within {START_TIMEOUT_S:.0f} s. Its log {self.log} ends with:\n"
            f"{child.last_lines(self.log)}"
        )

    def _died(self) -> BrokerError:
        code = self._process.returncode if self._process else None
        return BrokerError(
            f"the embedded broker died at start (exit code {code}). Its log {self.log} ends with:\n"
            f"{child.last_lines(self.log)}\n"
            f"If its data is damaged, set the folder {self.data_dir / 'broker'} aside and start with an empty one."
        )

    def _remember_ports(self) -> None:
        state = {
            "owner": os.getpid(),
            "pid": self.pid,
            "bootstrap": self.bootstrap if self._kafka else None,
            "redis_url": self.redis_url,
            "kafka_port": self._ports["kafka"],
            "redis_port": self._ports["redis"],
        }
        part = self.data_dir / "broker.json.part"
        part.write_text(json.dumps(state) + "\n")
        part.replace(self.data_dir / "broker.json")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
