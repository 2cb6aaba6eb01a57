"""One worker process, from start to clean stop."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog

from endocrine.agents._shared.prompt_keys import PromptKeys
from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.published import published_records
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.connection import refusal
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process import stopping
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.version import code_version
from endocrine.pipeline.runtime.errors import Stalled
from endocrine.pipeline.runtime.worker.app import EndocrineApp, build_app
from endocrine.pipeline.runtime.worker.kafka_broker_port import Broker
from endocrine.pipeline.runtime.worker.overlap import without_others
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from endocrine.pipeline.runtime.worker.task_dump import on_signal
from endocrine.pipeline.runtime.worker.tuning import COLLECT_GARBAGE_S, collect_garbage
from endocrine.pipeline.runtime.worker.watch import STALLED, Watch, end_when_hung
from endocrine.pipeline.views.metrics.serve import serve

_SAME_NAME = "If it is unknown to aiokafka: another worker has joined under our ENDOCRINE_INSTANCE."
STOP_S = 10.0
"""Seconds that each part gets to stop; what hangs longer is left behind, and the process ends all the same."""
log = structlog.get_logger(__name__)


class Worker:
    """A worker: topics ensured, policy published, Faust started; stops when asked or when it must.

    policy: in force while none is published on topic `policy-rollouts`; those that are published are followed while it
    runs. seals: by default those of the settings' key file. prompt_keys: keys of prompt hashes that published policies
    may name. overlapping: consumer groups whose workers run some of the same agents; it does not begin before they have
    left. After `run` returns, `failure` holds what made it stop on its own, or None. Raises SealKeyError where there is
    no usable key.
    """

    def __init__(
        self,
        settings: Settings,
        agents: Sequence[Agent],
        policy: Policy,
        *,
        seals: Seals | None = None,
        overlapping: Sequence[str] = (),
        prompt_keys: PromptKeys | None = None,
    ) -> None:
        self.settings = settings
        self._seals = load_seals(settings) if seals is None else seals
        self.policy = policy
        """The policy in force; the next batch of each processor is decided under it."""
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.failure: BaseException | None = None
        self.ready = asyncio.Event()
        """Set when the first assignment has been taken over."""
        self.manager: ProcessorManager | None = None
        """The units, once the worker runs."""
        self.watch: Watch | None = None
        """What watches them, from then on; `run` makes it."""
        self.follower: PolicyFollower | None = None
        """What follows the published policy, from then on."""
        self._prompt_keys = prompt_keys or {}
        self._following = AsyncExitStack()
        self._agents = agents
        self._overlapping = overlapping
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask the worker to stop; `run` returns when it has."""
        self._stop.set()

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            reason = refusal(self.settings, error)
            known = {"reason": reason} if reason else {}
            log.error("the worker must stop", error=f"{type(error).__name__}: {error}", **known)
            self.failure = error
        self._stop.set()

    async def run(self) -> None:
        """Run until asked to stop or until a fatal error."""
        if not await self._unless_stopped(ensure_topics(self.settings, [agent.name for agent in self._agents])):
            return
        if not await self._unless_stopped(without_others(self.settings, self._overlapping)):
            return
        asked = {topic for agent in self._agents for topic in (*agent.sources, f"changelog.{agent.name}")}
        broker = Broker(self.settings, client_id=f"endocrine-{self.id}", topics=sorted(asked))
        version = code_version(self.settings.build)
        metrics = serve(self.settings, [agent.name for agent in self._agents], self.policy)
        manager = ProcessorManager(
            self.settings, self._agents, broker, lambda: self.policy, version, self._seals, self._fail, metrics
        )
        self.manager = manager
        self.watch = Watch(self.settings, manager, self._fail, metrics, rollout=lambda: self.follower)
        app = build_app(self.settings, manager, worker_id=self.id)
        try:
            await self._live(app, manager, broker)
        finally:
            await self._shut_down(app, manager, broker)
            if metrics is not None:
                metrics.stop()

    def loops(self) -> dict[str, asyncio.AbstractEventLoop]:
        """Return the event loops of this process, by what runs in them."""
        found = {"worker": asyncio.get_running_loop()}
        thread = getattr(self.manager.consumer, "_thread", None) if self.manager is not None else None
        if thread is not None:
            found["consumer"] = thread.thread_loop
        return found

    async def _live(self, app: EndocrineApp, manager: ProcessorManager, broker: Broker) -> None:
        watching = asyncio.create_task(self._watch_group(manager))
        watch = self.watch or Watch(self.settings, manager, self._fail)
        hung = end_when_hung(watch)
        try:
            if await self._unless_stopped(self._start(app, manager, broker)):
                await self._serve(app, manager, watch)
        finally:
            hung.set()
            watching.cancel()

    async def _start(self, app: EndocrineApp, manager: ProcessorManager, broker: Broker) -> None:
        await broker.start()
        await self._follow(broker)
        app.finalize()
        manager.consumer = app.consumer
        await app.start()

    async def _watch_group(self, manager: ProcessorManager) -> None:
        """Faust waits for the first assignment, and for records: where aiokafka gave up, it would wait for ever."""
        while (error := _coordination_error(manager)) is None:
            if self.watch is not None:
                self.watch.beat()
            await asyncio.sleep(self.settings.commit_interval_s)
        self._fail(error)

    async def _unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Do this unless asked to stop first (a broker that does not answer must not keep us). True when it is done."""
        working = asyncio.ensure_future(work)
        asked = asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await asyncio.wait_for(working, STOP_S)
            return False
        await working
        return True

    async def _serve(self, app: EndocrineApp, manager: ProcessorManager, watch: Watch) -> None:
        crashed = asyncio.create_task(app.wait_until_stopped())
        asked = asyncio.create_task(self._stop.wait())
        reporting = asyncio.create_task(self._report_ready(manager))
        looking = asyncio.create_task(watch.run())
        swept = time.monotonic()
        try:
            while not (crashed.done() or asked.done()):
                await asyncio.wait(
                    [crashed, asked], timeout=self.settings.commit_interval_s, return_when=asyncio.FIRST_COMPLETED
                )
                if time.monotonic() - swept > COLLECT_GARBAGE_S:
                    swept = time.monotonic()
                    collect_garbage()
                if manager.running:
                    with suppress(Exception):
                        await asyncio.wait_for(manager.commit(), STOP_S)
            if crashed.done() and not asked.done():
                self._fail(getattr(app, "crash_reason", None) or RuntimeError("the Faust application stopped"))
        finally:
            crashed.cancel()
            asked.cancel()
            reporting.cancel()
            looking.cancel()

    async def _report_ready(self, manager: ProcessorManager) -> None:
        await manager.resumed.wait()
        self.ready.set()

    async def _shut_down(self, app: EndocrineApp, manager: ProcessorManager, broker: Broker) -> None:
        with suppress(Exception):
            if manager.running:
                await asyncio.wait_for(manager.commit(), 5)
        with suppress(Exception):  # what is under way when the broker does not answer is a crash to the successor
            await asyncio.wait_for(manager.stop_processors(), STOP_S)
        with suppress(Exception):
            await asyncio.wait_for(app.stop(), STOP_S)
        with suppress(Exception):
            await asyncio.wait_for(self._following.aclose(), STOP_S)
        with suppress(Exception):
            await asyncio.wait_for(broker.stop(), STOP_S)

    async def _follow(self, broker: Broker) -> None:
        """Begin to follow what is published: on return, the policy in force is on record and decided by."""
        follower = PolicyFollower(
            self.settings,
            self._seals,
            self.policy,
            lambda policy: self._adopt(broker, policy),
            prompt_keys=self._prompt_keys,
            on_failure=self._fail,
        )
        self.follower = await self._following.enter_async_context(follower)

    async def _adopt(self, broker: Broker, policy: Policy) -> None:
        """Put a policy on record before the first batch under it, so that every decision can be proved again; then
        decide by it: a batch asks for the policy once, when it begins."""
        previous = None if policy is self.policy else self.policy.digest
        by, partitions = f"worker {self.id}", self.settings.partitions
        records = published_records(policy, self._seals, partitions, previous=previous, by=by, ts=time.time())
        for out in records:
            await broker.send(f"{self.settings.prefix}{out.topic}", out.partition, [out], ())
        self.policy = policy


def _coordination_error(manager: ProcessorManager) -> BaseException | None:
    """Why aiokafka's group coordination makes no progress, if it does.

    It ends silently, or puts its error away for the next fetch and waits: while Faust has fetching stopped, for ever.
    """
    thread = getattr(manager.consumer, "_thread", None)  # None until Faust has started it
    coordinator = getattr(getattr(thread, "_consumer", None), "_coordinator", None)
    task = getattr(coordinator, "_coordination_task", None)
    if task is None or task.cancelled():
        return None
    if task.done():
        return task.exception() or RuntimeError("group coordination ended")
    pending = getattr(coordinator, "_pending_exception", None)
    return None if pending is None else RuntimeError(f"left the group: {pending!r}. {_SAME_NAME}")


async def run_worker(worker: Worker) -> int:
    """Run with SIGINT and SIGTERM as the wish to stop. Returns the exit code: 0 asked to stop, 1 failed, 3 stalled."""
    with stopping.asked(worker.stop):
        on_signal(worker.loops)
        await worker.run()
    if isinstance(worker.failure, Stalled):
        return STALLED
    return 0 if worker.failure is None else 1
