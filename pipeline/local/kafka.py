"""One Apache Kafka node (KRaft) on loopback: broker and controller in one process, on one data folder."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Self

from endocrine.pipeline.local import class_cache
from endocrine.pipeline.local.jars import kafka_jars
from endocrine.pipeline.local.java import java
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.subprocesses import BrokerError

START_TIMEOUT_S = 180.0
"""Seconds; it takes two, and many times that on a machine that is busy."""
STOP_GRACE_S = 30.0
CLUSTER_ID = "ZW5kb2NyaW5lLW5vZGUtMQ"
"""Any 16 bytes in base64 do: the node is its whole cluster."""
SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k")
"""Java options of a node that is to start soon and cost little: one thread that collects, quick compilation only. The
class cache holds for these options."""
_POLL_S = 0.05


async def answers_metadata(bootstrap: str) -> bool:
    """Return whether a Kafka broker answers a metadata request there, now."""
    if not child.port_answers(int(bootstrap.rpartition(":")[2])):
        return False  # before aiokafka, which logs an error for each refused connection
    from aiokafka.client import AIOKafkaClient  # now: a node that is to start soon is not to wait for the import
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


class KafkaNode:
    """One node on one data folder, which holds `logs/`, `kafka.log` and `server.properties`.

    port: the one it must have. preferred: ports of broker and controller to take if they are free, else any free ones;
    a restart prefers those it had. heap: Java's -Xmx. small: see SMALL; False gives Java all it takes. java_options:
    further ones. properties: laid over server.properties. format_arguments: of
    `StorageTool format`. It ends with us unless detached (see `child.spawn`).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        preferred: tuple[int | None, int | None] = (None, None),
        heap: str = "1g",
        small: bool = True,
        java_options: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        detached: bool = False,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "kafka.log"
        self.properties = self.data_dir / "server.properties"
        """Its path is on the process's command line."""
        self._port = port
        self._ports = preferred
        self._options = [f"-Xmx{heap}", "-XX:+ExitOnOutOfMemoryError", *(SMALL if small else ()), *java_options]
        self._small = small
        self._overrides = dict(properties or {})
        self._format_arguments = list(format_arguments)
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Kafka bootstrap server, host:port. Known once started."""
        if self._ports[0] is None:
            raise BrokerError("this Kafka node was never started")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def ports(self) -> tuple[int | None, int | None]:
        """Port of the broker, and of the controller. Known once started."""
        return self._ports

    @property
    def pid(self) -> int | None:
        """Process id while running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Format the storage if it is new, start, and wait until it answers. Raises BrokerError, leaving no process.

        on_spawn: called when its process is there.
        """
        if self.pid:
            raise BrokerError(f"this Kafka node is already running (process {self.pid})")
        command = await asyncio.to_thread(self._command)
        if self._port is not None and not child.port_is_free(self._port):
            raise BrokerError(f"port {self._port} is taken by another process: give another, or none.")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        port = self._port or child.free_port(self._ports[0])
        controller = child.free_port(self._ports[1])
        while controller == port:
            controller = child.free_port()
        self._ports = (port, controller)
        self._write_properties(port, controller)
        try:
            if not (self.data_dir / "logs" / "meta.properties").exists():
                await asyncio.to_thread(self._format, command)
            self._process = child.spawn([*command, "kafka.Kafka", self.properties], self.log, detached=self._detached)
            on_spawn()
            await self._wait_ready()
        except BaseException:
            child.end(self._process, STOP_GRACE_S)
            raise

    async def stop(self) -> None:
        """End it in order, and wait. Safe to call twice, and to cancel."""
        await asyncio.shield(asyncio.to_thread(child.end, self._process, STOP_GRACE_S))

    async def end_within(self, seconds: float) -> None:
        """End it in order where that takes long. Raises BrokerError when it does not end by itself."""
        assert self._process is not None
        self._process.terminate()
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise BrokerError(f"Apache Kafka (process {self.pid}) did not end within {seconds:.0f} s.")
            await asyncio.sleep(_POLL_S)

    def kill(self) -> None:
        """Kill (signal 9), as a crash, for all that it started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    async def restart(self, *, crash: bool = False) -> None:
        """Stop (or kill) and start again on the same data, on the same port where it is still free."""
        if crash:
            self.kill()
        else:
            await self.stop()
        await self.start()

    def _command(self) -> list[str]:
        """Java with its options and the class path, up to the class to run."""
        runtime, jars = java(), kafka_jars()
        options = list(self._options)
        if runtime.feature >= 24:
            options.append("--sun-misc-unsafe-memory-access=allow")  # which Kafka does, and Java warns of
        options += [f"-XX:ErrorFile={self.data_dir / 'java-crash.log'}"]
        if self._small and (cached := class_cache.existing(runtime)):
            # What Java says of the cache goes to the log that its owner reads: one that does not fit is not used.
            options += [f"-XX:AOTCache={cached}", "-Xlog:disable"]
        logging = f"-Dlog4j2.configurationFile={_file('log4j2.xml')}"
        return [str(runtime.program), *options, logging, "-cp", os.pathsep.join(map(str, jars))]

    def _write_properties(self, port: int, controller_port: int) -> None:
        text = _file("server.properties").read_text(encoding="utf-8")
        values = {"port": port, "controller_port": controller_port, "log_dir": self.data_dir / "logs"}
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        lines = [line for line in text.splitlines() if line.partition("=")[0] not in self._overrides]
        lines += [f"{name}={value}" for name, value in self._overrides.items()]
        self.properties.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _format(self, command: list[str]) -> None:
        program = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", self.properties]
        program += self._format_arguments
        run = subprocess.run(
            [*command, *map(str, program)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
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


def _file(name: str) -> Path:
    return Path(str(resources.files("endocrine.pipeline.local").joinpath(name)))
