"""A worker and two connectors with topics of their own, on the run's Kafka node; several after each other."""

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import calls
from aiokafka.admin import AIOKafkaAdminClient
from crew import Crew, Seat
from produce import Producer
from shapes import Canaries
from wire import Wire

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.connectors.names import CONNECTORS
from endocrine.pipeline.process import subprocesses as child
from endocrine.pipeline.process.seal_keys import make_key_file
from endocrine.pipeline.process.settings import Settings

PARTITIONS = 2
START_S = 90.0
STOP_S = 60.0


class World:
    """number: of the world within its run, part of the topics' prefix. service, provider: addresses of what the tools
    call and of who has the model. connector: whether both connectors run."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        number: int,
        canaries: Canaries,
        *,
        service: str,
        provider: str,
        connector: bool = True,
    ) -> None:
        self.folder = folder / f"world-{number}"
        self.folder.mkdir(parents=True)
        self.metrics_port = child.free_port()
        self.settings = Settings(
            bootstrap=bootstrap,
            prefix=f"fuzz{number}.",
            group=f"fuzz{number}",
            partitions=PARTITIONS,
            policy=calls.POLICY,
            data_dir=self.folder / "data",
            seal_key_file=self.folder / "seal.keys",
            metrics_port=self.metrics_port,
        )
        make_key_file(self.folder / "seal.keys")
        self.crew = Crew(self.settings, self.folder, time.monotonic())
        self.wire = Wire(bootstrap)
        self.producer = Producer(self.settings, self.wire)
        self.has_connector = connector
        self._service, self._provider = service, provider
        self._secrets = {"OPENAI_API_KEY": canaries.key, "ENDOCRINE_MODEL_API_KEY": canaries.key}

    async def start(self) -> None:
        """All processes, ready. Raises RuntimeError."""
        await self.wire.start()
        worker = self.crew.add(static=False, environment=self._secrets)
        await self._until(worker, "taken over")
        if self.has_connector:
            equipment = calls.equipment(self.folder, self._service)
            connector = self.crew.add_connector(
                {**equipment, **self._secrets, "ENDOCRINE_METRICS_PORT": str(child.free_port())}
            )
            asks = {"ENDOCRINE_MODEL_BASE_URL": self._provider, "ENDOCRINE_METRICS_PORT": str(child.free_port())}
            model = self.crew.add_connector({**asks, **self._secrets}, "model")
            await self._until(connector, "assigned")
            await self._until(model, "assigned")

    async def _until(self, seat: Seat, logged: str) -> None:
        deadline = time.monotonic() + START_S
        while logged not in seat.log.read_text(errors="replace"):
            if self.deaths():
                raise RuntimeError(f"{seat.name} does not start: {self.deaths()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{seat.name} is not ready after {START_S:.0f} s: see {seat.log}")
            await asyncio.sleep(0.1)

    def deaths(self) -> list[str]:
        """Processes that have ended, with their last words."""
        return [
            f"{seat.name} ended with exit code {seat.process.returncode}: {last_error(seat.log)}"
            for seat in self.crew.seats
            if seat.process is not None and seat.process.poll() is not None
        ]

    async def stop(self) -> list[str]:
        """Ask all to stop; what went wrong with it."""
        await self.producer.close()
        await self.crew.stop()
        return self.crew.findings

    async def kill(self) -> None:
        """No process of this world outlives this, nor do our connections."""
        self.crew.kill()
        await self.producer.close()
        self.wire.close()

    async def unread(self, patience_s: float) -> str:
        """Wait until the workers have read all there is; empty, or what is left when nothing has moved for a while."""
        last, moved = None, time.monotonic()
        while True:
            behind = await self._behind()
            if not behind:
                return ""
            if behind != last:
                last, moved = behind, time.monotonic()
            if time.monotonic() - moved > patience_s:
                worst = sorted(behind.items(), key=lambda item: -item[1])[:5]
                return ", ".join(f"{count} of {topic}/{partition}" for (topic, partition), count in worst)
            await asyncio.sleep(0.5)

    async def _behind(self) -> dict[tuple[str, int], int]:
        """Records below the end that no group of the workers has committed; markers of transactions do not count."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap)
        await admin.start()
        try:
            committed: dict[tuple[str, int], int] = {}
            for name, _ in await admin.list_consumer_groups():
                group = self.settings.group
                if name.rpartition(".")[2] not in CONNECTORS and (name == group or name.startswith(f"{group}.")):
                    for place, found in (await admin.list_consumer_group_offsets(name)).items():
                        key = place.topic, place.partition
                        committed[key] = max(committed.get(key, 0), found.offset)
        finally:
            await admin.close()
        topics = sorted({self.settings.prefix + topic for agent in AGENTS for topic in agent.sources})
        ends = await self.wire.ends(topics, PARTITIONS)
        behind = {place: end - committed.get(place, 0) for place, end in ends.items()}
        return {place: count for place, count in behind.items() if count > 1}

    def metrics(self) -> str:
        """What the worker's metrics say now; empty where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except OSError:
            return ""

    def logs(self) -> Mapping[str, str]:
        """What the processes have logged, by file name."""
        return {path.name: path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))}

    def verify(self) -> "subprocess.CompletedProcess[str]":
        """`endocrine replay verify` over this world's topics."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENDOCRINE_")}
        for name, value in self.settings.model_dump().items():
            if value is not None and name != "metrics_port":
                environment[f"ENDOCRINE_{name.upper()}"] = str(value)
        program = [sys.executable, "-c", "from endocrine.pipeline.cli.main import main; main()", "replay", "verify"]
        return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)


def last_error(log: Path) -> str:
    """The line of a log that says why its process ended: what it says itself, else its first crash, else the last."""
    lines = [line.strip()[:400] for line in log.read_text(errors="replace").splitlines()]
    for sign in ("must stop", "Crashed reason", "cannot start"):
        for line in lines:
            if sign in line:
                return line
    return lines[-1] if lines else "(no log)"
