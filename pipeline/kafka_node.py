"""One Apache Kafka node (KRaft) on loopback, without Docker: `python -m pipeline.kafka_node up|down|status|fetch`.

The jars come from Maven Central once (docker/kafka/pom.xml into docker/kafka/libs). Needs Java 17 or newer, and Maven
for the first time. `make kafka` and `make kafka-down` call this; tests use the class `KafkaNode`.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import typer

from pipeline import child
from pipeline.child import BrokerError
from pipeline.embedded import answers_metadata

HERE = Path(__file__).resolve().parent.parent / "docker" / "kafka"
LIBS = HERE / "libs"
DATA = HERE / "data"
JAVA_AT_LEAST = 17
DEFAULT_PORT = 9092
START_TIMEOUT_S = 90.0
"""Seconds; it takes two to five."""
STOP_GRACE_S = 30.0
_POLL_S = 0.1


def java() -> str:
    """The Java program, 17 or newer; JAVA_HOME wins over the path. Raises BrokerError."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    hint = "Install a Java runtime (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME."
    if not program or not Path(program).exists():
        raise BrokerError(f"Apache Kafka needs Java {JAVA_AT_LEAST} or newer; {program or 'java'} is missing. {hint}")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    if not found or int(found[1]) < JAVA_AT_LEAST:
        shown = found[1] if found else (answer.stderr or answer.stdout).strip()[:200]
        raise BrokerError(f"Apache Kafka needs Java {JAVA_AT_LEAST} or newer; {program} is {shown}. {hint}")
    return program


def fetch(pom: Path = HERE / "pom.xml", libs: Path = LIBS) -> Path:
    """Fetch Kafka's jars into `libs`, unless they are there for this very pom. Raises BrokerError."""
    stamp = libs / ".pom.sha256"
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return libs
    maven = shutil.which("mvn")
    if not maven:
        raise BrokerError(
            "Apache Kafka's jars come through Maven, and mvn is missing: install it (Debian: apt-get install maven)."
        )
    # Into a folder beside, then renamed: a fetch that was interrupted is never taken for a whole one.
    with tempfile.TemporaryDirectory(prefix="libs-", dir=libs.parent) as part:
        goal = "dependency:copy-dependencies"
        argv = [maven, "-q", "-B", "-f", str(pom), goal, f"-DoutputDirectory={part}/libs", "-DincludeScope=runtime"]
        run = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if run.returncode:
            tail = "\n".join("    " + line for line in (run.stdout + run.stderr).strip().splitlines()[-8:])
            raise BrokerError(f"Maven could not fetch the jars of {pom} (exit code {run.returncode}):\n{tail}")
        (Path(part) / "libs" / stamp.name).write_text(wanted)
        shutil.rmtree(libs, ignore_errors=True)
        (Path(part) / "libs").rename(libs)
    return libs


class KafkaNode:
    """One node on one data folder, which holds `logs/`, `kafka.log` and `server.properties`.

    port: by default the last run's if free, else any free one. It ends with us unless detached (see `child.spawn`).
    """

    def __init__(
        self, data_dir: Path, *, port: int | None = None, heap: str = "1g", detached: bool = False, libs: Path = LIBS
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "kafka.log"
        self._port = port
        self._last: tuple[int | None, int | None] = (None, None)
        self._heap = heap
        self._detached = detached
        self._libs = libs
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Kafka bootstrap server, host:port. Known once started."""
        if self._last[0] is None:
            raise BrokerError("this Kafka node was never started")
        return f"127.0.0.1:{self._last[0]}"

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
        """Format the storage if it is new, start, and wait until it answers. Raises BrokerError, leaving no process."""
        if self.pid:
            raise BrokerError(f"this Kafka node is already running (process {self.pid})")
        program = java()
        if not any(self._libs.glob("kafka_2*.jar")):
            raise BrokerError(f"Apache Kafka's jars are missing in {self._libs}: run `make kafka-fetch`.")
        if self._port is not None and not child.port_is_free(self._port):
            raise BrokerError(f"port {self._port} is taken by another process: give another, or none.")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        port = self._port or child.free_port(self._last[0])
        controller = child.free_port(self._last[1])
        while controller == port:
            controller = child.free_port()
        self._last = (port, controller)
        properties = self._write_properties(port, controller)
        command = [program, f"-Xmx{self._heap}", "-cp", f"{self._libs}/*"]
        command.insert(1, f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}")
        try:
            if not (self.data_dir / "logs" / "meta.properties").exists():
                self._format(command, properties)
            self._process = child.spawn([*command, "kafka.Kafka", properties], self.log, detached=self._detached)
            await self._wait_ready()
        except BaseException:
            child.end(self._process, STOP_GRACE_S)
            raise

    async def stop(self) -> None:
        """End it in order, and wait. Safe to call twice, and to cancel."""
        await asyncio.shield(asyncio.to_thread(child.end, self._process, STOP_GRACE_S))

    def kill(self) -> None:
        """kill -9, as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def restart(self, *, crash: bool = False) -> None:
        """Stop (or kill) and start again on the same data, on the same port where it is still free."""
        if crash:
            self.kill()
        else:
            await self.stop()
        await self.start()

    def _write_properties(self, port: int, controller_port: int) -> Path:
        text = (HERE / "server.properties").read_text()
        values = {"port": port, "controller_port": controller_port, "log_dir": self.data_dir / "logs"}
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        path = self.data_dir / "server.properties"
        path.write_text(text)
        return path

    def _format(self, command: list[str], properties: Path) -> None:
        cluster = "ZW5kb2NyaW5lLW5vZGUtMQ"  # any 16 bytes in base64 do; the node stands alone
        run = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(properties)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if run.returncode:
            tail = "\n".join("    " + line for line in (run.stdout + run.stderr).strip().splitlines()[-8:])
            raise BrokerError(f"Kafka's storage in {self.data_dir / 'logs'} could not be formatted:\n{tail}")

    async def _wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code = self._process.returncode
                raise BrokerError(
                    f"Apache Kafka died at start (exit code {code}). Its log {self.log} ends with:\n"
                    f"{child.last_lines(self.log)}"
                )
            if await answers_metadata(self.bootstrap):
                return
            await asyncio.sleep(_POLL_S)
        raise BrokerError(
            f"Apache Kafka did not answer within {START_TIMEOUT_S:.0f} s. Its log {self.log} ends with:\n"
            f"{child.last_lines(self.log)}"
        )


def running_node(data_dir: Path = DATA) -> tuple[int, str] | None:
    """Process id and bootstrap of the node that `up` left running on this folder, or None."""
    data_dir = data_dir.absolute()
    try:
        pid, bootstrap = (data_dir / "node").read_text().split()
    except (OSError, ValueError):
        return None
    # The pid alone may be another process by now.
    return (int(pid), bootstrap) if str(data_dir / "server.properties") in _command_line(int(pid)) else None


def _command_line(pid: int) -> str:
    """A process's command line; empty when there is none, or only a zombie of it."""
    if Path("/proc/self/cmdline").exists():
        try:
            return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return shown.stdout


async def up(data_dir: Path = DATA, port: int | None = None) -> str:
    """Start a node that stays when we end, unless one runs; return its bootstrap."""
    if found := running_node(data_dir):
        return found[1]
    libs = fetch()
    last = (data_dir / "node").read_text().rpartition(":")[2].strip() if (data_dir / "node").exists() else ""
    wanted = port or child.free_port(int(last) if last.isdigit() else None, DEFAULT_PORT)
    node = KafkaNode(data_dir, port=wanted, detached=True, libs=libs)
    await node.start()
    (data_dir / "node").write_text(f"{node.pid} {node.bootstrap}\n")
    return node.bootstrap


def down(data_dir: Path = DATA) -> bool:
    """End the node that `up` started; False when none runs. Its data stays."""
    if not (found := running_node(data_dir)):
        return False
    os.kill(found[0], signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE_S
    while running_node(data_dir):
        if time.monotonic() > deadline:
            os.kill(found[0], signal.SIGKILL)
        time.sleep(_POLL_S)
    return True


def main() -> None:
    """The command line of this module; exit code 1 with the reason on stderr when something is missing."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help=(__doc__ or "").splitlines()[0])

    @app.command("fetch")
    def _fetch() -> None:
        """Fetch Kafka's jars, unless they are there."""
        java()
        print(f"Apache Kafka's jars are in {fetch()}")

    @app.command("up")
    def _up(
        port: int | None = typer.Option(None, help="By default the last run's, else 9092, else a free one."),
    ) -> None:
        """Start a node that stays, unless one runs."""
        begun = time.monotonic()
        bootstrap = asyncio.run(up(port=port))
        print(
            f"Apache Kafka answers at {bootstrap} (after {time.monotonic() - begun:.1f} s; `make kafka-down` ends it)"
        )
        print(f"export ENDOCRINE_BOOTSTRAP={bootstrap}")

    @app.command("down")
    def _down() -> None:
        """End the node; its data stays."""
        print("Apache Kafka has ended." if down() else "no Kafka node of this folder runs.")

    @app.command("status")
    def _status() -> None:
        """Say whether a node runs, and where (exit code 1: none runs)."""
        if not (found := running_node()):
            print("no Kafka node of this folder runs.")
            raise typer.Exit(1)
        print(f"Apache Kafka answers at {found[1]} (process {found[0]}, log {DATA / 'kafka.log'})")

    try:
        app()
    except BrokerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
