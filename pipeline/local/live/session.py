"""One run, from start to end: stack, topics, worker, read models, feed, view; ended in the opposite order.

Start: 1 hold the folder; 2 local stack; 3 topics; 4 worker and watcher; 5 view, in a demo once the worker is ready;
6 gateway and connectors, read models; 7 feed.
"""

import asyncio
import contextlib
import logging
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from endocrine.pipeline.data import scenario
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.members import evict
from endocrine.pipeline.local import stack as local_stack
from endocrine.pipeline.local.live.display import display
from endocrine.pipeline.local.live.feeder import Feeder
from endocrine.pipeline.local.live.folder import FeedPosition, emptied, held
from endocrine.pipeline.local.live.status import Rate, Status
from endocrine.pipeline.local.live.summary import summary
from endocrine.pipeline.local.live.totals import Totals
from endocrine.pipeline.local.live.view_state import ViewState
from endocrine.pipeline.local.live.watcher import Watcher
from endocrine.pipeline.local.live.worker import RESTARTS, WorkerChild, WorkerFailed
from endocrine.pipeline.local.prepare import prepared
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process import stopping
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import BrokerError
from endocrine.pipeline.views.event import Event

if TYPE_CHECKING:
    from endocrine.agents.contract import Agent
    from endocrine.pipeline.local.live.doors import Doors

REFRESH_S = 0.2
"""Seconds between two drawings of the view."""
QUIET_REFRESH_S = 2.0
"""The same at most, where nothing is fed or derived and no news comes."""
FRESH_S = 10.0
"""Seconds a note stays at the foot of the view."""
STALLED_S = 60.0
"""A demo in which nothing is derived for so long has failed."""
COMMIT_INTERVAL_S = 0.5
"""Seconds between the worker's commits: with one worker they cost little, and it says as often whether it is ready."""
COMPACTION_LAG_MS = 600_000
"""Of changelogs on the local stack: its worker ends with it, so no write of a paused one can come a day later."""
LEAVE_S = 10.0
"""Seconds that each client of ours has to stop."""
TOPICS_TIMEOUT_S = 10.0
"""Seconds until a broker that does not answer is given up; one of our own has reported already that it is there."""
OWN_TOPICS_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Plan:
    """What a person asked for."""

    demo: bool
    bootstrap: str | None
    """Kafka to use instead of one of our own."""
    pace: float
    """Records per second."""
    rounds: int
    """Rounds of the scenario to feed, in `run` together with what earlier runs on the folder fed."""

    @property
    def command(self) -> str:
        """Name of the command."""
        return "demo" if self.demo else "run"


class RunFailed(RuntimeError):
    """The run cannot go on. The message says why and what to do."""


class Session:
    """A run. `run` once, from the main thread."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._plan = plan
        self._folder = settings.data_dir / "demo" if plan.demo else settings.data_dir
        self._lock = settings.data_dir / f"{plan.command}.lock"
        self._settings = settings.model_copy(update={"data_dir": self._folder})
        self._stop = asyncio.Event()
        self._display = display(self._stop.set)
        self._view_state, self._totals, self._status = ViewState(scenario.round_of), Totals(), Status(plan.command)
        self._tasks: list[asyncio.Task[Any]] = []
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending = contextlib.AsyncExitStack()
        self._news = asyncio.Event()
        """Set by what the view is to show at once."""
        self._moved_at = time.monotonic()
        self._noted_at = 0.0

    async def run(self) -> bool:
        """Run until it is done or asked to stop; return whether it is done. Raises what made it fail."""
        with (
            stopping.asked(self._stop.set, more=(signal.SIGHUP,)),
            held(self._lock, self._folder, self._plan.command),
        ):
            if self._plan.demo:
                emptied(self._folder)
            _logs_to(self._folder / "run.log")
            work = asyncio.create_task(self._work())
            asked = asyncio.create_task(self._stop.wait())
            waiting: set[asyncio.Future[Any]] = {work, asked, self._failure}
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._end(work, asked)
            if self._failure.done():
                self._failure.result()
            return not work.cancelled() and work.result() is None

    async def _end(self, work: asyncio.Task[None], asked: asyncio.Task[Any]) -> None:
        self._display.close()
        # A client that leaves its group waits for a broker that may not answer; what it has left to say is not needed.
        await cancelled([work, asked, *self._tasks], within_s=LEAVE_S)
        with self._display.step("stopping: worker and local stack finish what they have"):
            await self._ending.aclose()

    # ---- start ----

    async def _work(self) -> None:
        started = time.monotonic()
        importing = asyncio.create_task(asyncio.to_thread(_agents))
        stack = await self._start_stack()
        agents = await importing
        with self._display.step(f"topics at {self._settings.bootstrap}"):
            names = [agent.name for agent in agents]
            patience = OWN_TOPICS_TIMEOUT_S if stack and stack.kafka else TOPICS_TIMEOUT_S
            if self._plan.demo and self._plan.bootstrap:
                self._ending.push_async_callback(self._delete_topics)
            await ensure_topics(self._settings, names, timeout_s=patience)
        worker = WorkerChild(
            self._settings, note=self._note, bury=self._bury, restarts=0 if self._plan.demo else RESTARTS
        )
        watcher = Watcher(self._settings, agents, self._deliver, whole=self._plan.demo)
        feeder = self._feeder(watcher)
        self._status.bootstrap = self._settings.bootstrap
        ends: list[Callable[[], Awaitable[object]]] = [worker.stop, partial(_soon, watcher.stop)]
        self._ending.push_async_callback(_together, ends)
        self._begin(self._worker(worker, evicting=bool(stack and stack.kafka)))
        with self._display.step("worker takes over its partitions"):
            await watcher.start()
            self._begin(watcher.run())
            if not self._plan.demo:
                self._show(stack, worker, watcher, feeder)
            await worker.ready.wait()
        self._moved_at = time.monotonic()
        if self._plan.demo:
            self._show(stack, worker, watcher, feeder)
        else:  # now: before, they would take the processor from what the view waits for
            await self._open_doors(ends)
        self._begin(self._project())
        await feeder.run()
        if not self._plan.demo:
            rounds = self._plan.rounds
            fed = f"{rounds} rounds of the scenario are fed (--rounds N: more)" if rounds else "nothing is fed"
            self._note(f"{fed}; produce your own to {self._settings.bootstrap}")
            await asyncio.Event().wait()
        await watcher.settled()
        await watcher.caught_up()
        self._display.close()
        for line in summary(self._totals, feeder.sent, time.monotonic() - started):
            self._display.say(line)

    async def _worker(self, worker: WorkerChild, *, evicting: bool) -> None:
        """Keep the worker up. evicting: nobody else can be a member of our groups."""
        if evicting:
            groups = self._settings.group, f"{self._settings.group}.projection"
            # Where the broker cannot do it yet, dead members time out.
            await asyncio.gather(*(evict(self._settings.bootstrap, group) for group in groups), return_exceptions=True)
        await worker.run()

    def _show(self, stack: LocalStack | None, worker: WorkerChild, watcher: Watcher, feeder: Feeder) -> None:
        self._display.open(self._view_state, self._status)
        self._begin(self._keep_fresh(stack, worker, watcher, feeder))

    async def _open_doors(self, ends: list[Callable[[], Awaitable[object]]]) -> None:
        """Start what applications use; nobody waits for it. What ends it is added to `ends`."""

        async def nothing() -> None:
            """Do nothing: its consumers are in groups of their own, or in none."""

        from endocrine.pipeline.local.live.doors import Doors  # now: it takes as long as the step before it

        doors = Doors(self._settings, note=self._note, bury=nothing, ours=self._plan.bootstrap is None)
        ends.append(doors.stop)
        await doors.start()
        for child in doors.children:
            self._begin(self._kept(child))
        self._begin(self._announced(doors))

    async def _kept(self, child: WorkerChild) -> None:
        try:
            await child.run()
        except WorkerFailed as error:
            self._note(str(error).partition("\n")[0])

    async def _announced(self, doors: "Doors") -> None:
        """Say where the gateway is once everything behind it works."""
        for child in doors.children:
            await child.ready.wait()
        self._status.gateway = doors.label
        self._note(doors.label)

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
                await stack.start()
            where = {"bootstrap": plan.bootstrap or stack.bootstrap, "redis_url": given or stack.redis_url}
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

    async def _bury(self) -> None:
        if self._plan.bootstrap is None:
            with contextlib.suppress(KafkaError):  # then it times out
                await evict(self._settings.bootstrap, self._settings.group)

    async def _delete_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.bootstrap)
        await admin.start()
        try:
            mine = [name for name in await admin.list_topics() if name.startswith(self._settings.prefix)]
            if mine:
                await admin.delete_topics(mine)
        finally:
            await admin.close()

    def _feeder(self, watcher: Watcher) -> Feeder:
        place = None
        if not self._plan.demo:
            kafka = self._plan.bootstrap
            place = FeedPosition(self._folder, f"{kafka} {self._settings.prefix}" if kafka else "local")
        return Feeder(
            self._settings,
            pace=self._plan.pace,
            rounds=self._plan.rounds,
            note=self._note,
            # In lock step per partition, so that topics interleave alike in every demo.
            before=watcher.settled if self._plan.demo else None,
            place=place,
        )

    # ---- while it runs ----

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the others; its failure ends the run."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                if not self._failure.done():
                    self._failure.set_exception(error)

        self._tasks.append(asyncio.create_task(guarded()))

    async def _project(self) -> None:
        """Read models: without them the pipeline goes on, so in `run` their failure is a note."""
        from endocrine.pipeline.views.redis import Projection  # now: the view does not wait for it

        try:
            await Projection(self._settings).run()
        except Exception as error:
            if self._plan.demo:
                raise
            self._note(f"read models stopped: {error}")

    async def _keep_fresh(
        self, stack: LocalStack | None, worker: WorkerChild, watcher: Watcher, feeder: Feeder
    ) -> None:
        status, fed, derived, began = self._status, Rate(), Rate(), False
        while True:
            now = time.monotonic()
            began = began or worker.ready.is_set()
            status.worker = "up" if worker.ready.is_set() else "restarting" if began else "starting"
            status.fed, status.to_feed, status.round = feeder.sent, feeder.total, feeder.round
            status.derived = self._totals.records.total()
            status.dead = self._totals.dead.total()
            status.fed_rate, status.derived_rate = fed.at(now, status.fed), derived.at(now, status.derived)
            status.lag = watcher.consumer_lag.lag(watcher.ends)
            if status.note and now - self._noted_at > FRESH_S:
                status.note = ""
            if stack and (died := stack.died()):
                raise BrokerError(died)
            if self._plan.demo and now - self._moved_at > STALLED_S:
                raise RunFailed(
                    f"nothing was derived for {STALLED_S:.0f} s, lag {status.lag}; see {worker.log} and"
                    f" {self._folder / 'run.log'}"
                )
            self._display.refresh()
            self._news.clear()
            if not (status.fed_rate or status.derived_rate):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_REFRESH_S - REFRESH_S):
                        await self._news.wait()
            await asyncio.sleep(REFRESH_S)

    def _deliver(self, event: Event) -> None:
        self._news.set()
        self._view_state.apply(event)
        if event.fresh and self._totals.apply(event):
            self._moved_at = time.monotonic()
            self._display.event(event)

    def _note(self, text: str) -> None:
        self._news.set()
        self._noted_at = time.monotonic()
        self._display.note(text)


def _agents() -> "Sequence[Agent]":
    """All agents. Imported beside the start of Kafka, which takes longer."""
    from endocrine.agents.registry import AGENTS

    return AGENTS


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


async def _together(ends: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """What needs the stack ends at once, none waiting for another; a failure is raised when all have ended."""
    for result in await asyncio.gather(*(end() for end in ends), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _soon(stop: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop(), LEAVE_S)
