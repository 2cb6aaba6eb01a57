"""Helpers for tests that run workers: a worker in this process, one as a child, and waiting until all is read."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.kafka.clients import introduce
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker.main import Worker

_PAUSE_S = 0.01
"""Seconds between two looks: each asks the broker for the ends of all topics."""


@asynccontextmanager
async def worker_in_process(settings: Settings, agents: Sequence[Agent], policy: Policy) -> AsyncIterator[Worker]:
    """A worker that has taken over; it is stopped at the end, and must not have failed."""
    worker = Worker(settings, agents, policy)
    life = asyncio.create_task(worker.run())
    ready = asyncio.create_task(worker.ready.wait())
    await asyncio.wait([life, ready], return_when=asyncio.FIRST_COMPLETED, timeout=60)
    ready.cancel()
    try:
        assert worker.ready.is_set(), f"the worker did not get ready: {worker.failure!r}"
        yield worker
    finally:
        worker.stop()
        await life
    assert worker.failure is None, worker.failure


async def at_rest(worker: Worker, consumer: AIOKafkaConsumer, *, patience_s: float = 180) -> None:
    """Return when every unit has checkpointed all that is on its topics."""
    manager = worker.manager
    assert manager is not None
    prefix, agents = worker.settings.prefix, manager.agents.values()
    places = [
        TopicPartition(prefix + topic, n)
        for topic in {topic for agent in agents for topic in agent.sources}
        for n in range(worker.settings.partitions)
    ]
    if not consumer.assignment():
        introduce(consumer, places)
    async with asyncio.timeout(patience_s):
        while True:
            assert worker.failure is None, worker.failure
            ends = await consumer.end_offsets(places)
            behind = any(
                processor.critical
                or processor.checkpoint.next_offsets.get(topic, 0) < ends[TopicPartition(prefix + topic, n)]
                for (_, n), processor in manager.processors.items()
                for topic in processor.engine.agent.sources
            )
            if not behind and await consumer.end_offsets(places) == ends:
                return
            await asyncio.sleep(_PAUSE_S)


class WorkerChild:
    """A worker as a process of its own, to be killed."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.environment = {
            **os.environ,
            **{
                f"ENDOCRINE_{name.upper()}": str(value)
                for name, value in settings.model_dump().items()
                if value is not None
            },
        }
        self.log = log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start; does not wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from endocrine.pipeline.cli.main import main; main()",
                "worker",
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 60)


class CommandChild(WorkerChild):
    """A command of `endocrine` as a process of its own. extra: environment beside the settings."""

    def __init__(self, settings: Settings, log: Path, command: Sequence[str], extra: Mapping[str, str]) -> None:
        super().__init__(settings, log)
        self.command = command
        self.environment |= extra

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "endocrine.pipeline.cli",
                *self.command,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
