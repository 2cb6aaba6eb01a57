"""One run, from start to end: hold the folder, start the stack, run all the rest on it; end in the opposite order.

Kafka takes two seconds to start. What a run needs besides is imported meanwhile, so this module imports little.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from endocrine.pipeline.local import stack as local_stack
from endocrine.pipeline.local.live.background import BackgroundTasks
from endocrine.pipeline.local.live.display import display
from endocrine.pipeline.local.live.folder import emptied, held
from endocrine.pipeline.local.live.plan import Plan
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process import stopping
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings

if TYPE_CHECKING:
    from endocrine.pipeline.local.live.running import Running

COMMIT_INTERVAL_S = 0.5
"""Seconds between the worker's commits: with one worker they cost little, and it says as often whether it is ready."""
COMPACTION_LAG_MS = 600_000
"""Of changelogs on the local stack: its worker ends with it, so no write of a paused one can come a day later."""
LEAVE_S = 10.0
"""Seconds that each client of ours has to stop."""


class Session:
    """A run. `run` once, from the main thread."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._plan = plan
        self._folder = settings.data_dir / "demo" if plan.demo else settings.data_dir
        self._lock = settings.data_dir / f"{plan.command}.lock"
        self._settings = settings.model_copy(update={"data_dir": self._folder})
        self._stop = asyncio.Event()
        self._display = display(self._stop.set)
        self._background = BackgroundTasks()
        self._ending = contextlib.AsyncExitStack()
        self._spawned = asyncio.Event()
        """Set when Kafka's process is there, or none of ours is needed."""

    async def run(self) -> bool:
        """Run until it is done or asked to stop; return whether it is done. Raises what made it fail.

        A person's own policy is checked before anything is started; the shipped one while Kafka starts.
        """
        if self._settings.policy is not None:
            _check(self._settings.policy)
        with (
            stopping.asked(self._stop.set, more=(signal.SIGHUP,)),
            held(self._lock, self._folder, self._plan.command),
        ):
            if self._plan.demo:
                emptied(self._folder)
            _logs_to(self._folder / "run.log")
            work = asyncio.create_task(self._work())
            asked = asyncio.create_task(self._stop.wait())
            waiting: set[asyncio.Future[Any]] = {work, asked, self._background.failure}
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._end(work, asked)
            if self._background.failure.done():
                self._background.failure.result()
            return not work.cancelled() and work.result() is None

    async def _end(self, work: asyncio.Task[None], asked: asyncio.Task[Any]) -> None:
        self._display.close()
        # A client that leaves its group waits for a broker that may not answer; what it has left to say is not needed.
        await cancelled([work, asked, *self._background.tasks], within_s=LEAVE_S)
        with self._display.step("stopping: worker and local stack finish what they have"):
            await self._ending.aclose()

    async def _work(self) -> None:
        started = time.monotonic()
        importing = asyncio.create_task(self._import())
        self._background.begin(_done(importing))  # its failure ends the run at once
        stack = await self._start_stack()
        running = await importing
        await running(self._settings, self._plan, stack, self._display, self._background, self._ending).run(started)

    async def _import(self) -> "type[Running]":
        """Import once Kafka's process is there: before, it would take the processor from what everything waits for."""
        await self._spawned.wait()
        return await asyncio.to_thread(_imported, self._settings.policy)

    async def _start_stack(self) -> LocalStack | None:
        """The local stack, or what of it is not somewhere else; None where all is. The settings say where they are."""
        plan, given = self._plan, None if self._plan.demo else self._settings.redis_url
        found = None if plan.bootstrap else local_stack.running(self._folder)
        stack = None
        if found and found.stays:
            where = {"bootstrap": found.bootstrap, "redis_url": given or found.redis_url}
        else:
            stack = LocalStack(self._folder, kafka=plan.bootstrap is None, valkey=given is None)
            if stack.kafka:
                await prepared(self._display.progress)
            with self._display.step("Kafka and Valkey" if stack.kafka else "Valkey"):
                self._ending.push_async_callback(stack.stop)
                await stack.start(self._spawned.set)
            where = {"bootstrap": plan.bootstrap or stack.bootstrap, "redis_url": given or stack.redis_url}
        self._spawned.set()
        update: dict[str, Any] = dict(where)
        update["commit_interval_s"] = min(COMMIT_INTERVAL_S, self._settings.commit_interval_s)
        if plan.bootstrap is None:
            update["compaction_lag_ms"] = min(COMPACTION_LAG_MS, self._settings.compaction_lag_ms)
        if plan.demo and plan.bootstrap:
            # Topics of its own: on those of others, equal runs would not give equal counts.
            update["prefix"] = f"{self._settings.prefix}demo-{uuid.uuid4().hex[:8]}."
            update["group"] = f"{update['prefix']}group"
        self._settings = self._settings.model_copy(update=update)
        return stack


def _imported(policy: Path | None) -> "type[Running]":
    """Check the shipped policy and import what runs on the stack."""
    if policy is None:
        _check(policy)
    from endocrine.pipeline.local.live.running import Running

    return Running


def _check(policy: Path | None) -> None:
    """Raise PolicyFileError where the policy cannot be used: the worker would only say it in its log."""
    from endocrine.pipeline.process.policy_files import load_policy

    load_policy(policy, os.environ)


async def _done(task: "asyncio.Task[Any]") -> None:
    await task


def _logs_to(file: Path) -> None:
    """What libraries say in this process goes to a file: on the terminal it would lie across the view."""
    logging.basicConfig(
        filename=file, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=file.open("a", buffering=1)),
        cache_logger_on_first_use=False,
    )
