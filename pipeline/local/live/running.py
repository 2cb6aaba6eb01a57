"""What a run does on its stack: topics, worker, view, gateway and connectors, read models, feed.

1 topics; 2 worker and watcher; 3 view, in a demo once the worker is ready; 4 gateway and connectors, read models;
5 feed.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.data import scenario
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.kafka.members import evict
from endocrine.pipeline.local.live.background import BackgroundTasks
from endocrine.pipeline.local.live.display import Display
from endocrine.pipeline.local.live.feeder import Feeder
from endocrine.pipeline.local.live.folder import FeedPosition
from endocrine.pipeline.local.live.plan import Plan, RunFailed
from endocrine.pipeline.local.live.status import Rate, Status
from endocrine.pipeline.local.live.summary import summary
from endocrine.pipeline.local.live.totals import Totals
from endocrine.pipeline.local.live.view_state import ViewState
from endocrine.pipeline.local.live.watcher import Watcher
from endocrine.pipeline.local.live.worker import RESTARTS, WorkerChild, WorkerFailed
from endocrine.pipeline.local.stack import LocalStack
from endocrine.pipeline.process.roles import groups_of
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import BrokerError
from endocrine.pipeline.views.event import Event

if TYPE_CHECKING:
    from endocrine.pipeline.local.live.doors import Doors

REFRESH_S = 0.2
"""Seconds between two drawings of the view."""
QUIET_REFRESH_S = 2.0
"""The same at most, where nothing is fed or derived and no news comes."""
FRESH_S = 10.0
"""Seconds a note stays at the foot of the view."""
STALLED_S = 60.0
"""A demo in which nothing is derived for so long has failed."""
LEAVE_S = 10.0
"""Seconds that each client of ours has to stop."""
TOPICS_TIMEOUT_S = 10.0
"""Seconds until a broker that does not answer is given up; one of our own has reported already that it is there."""
OWN_TOPICS_TIMEOUT_S = 90.0


class Running:
    """A run on its stack. `run` once; what it begins ends with `background` and `ending`.

    stack: the local one, None where all is somewhere else. settings: they say where Kafka and Redis are.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        stack: LocalStack | None,
        display: Display,
        background: BackgroundTasks,
        ending: contextlib.AsyncExitStack,
    ) -> None:
        self._settings, self._plan, self._stack = settings, plan, stack
        self._display, self._background, self._ending = display, background, ending
        self._view_state, self._totals, self._status = ViewState(scenario.round_of), Totals(), Status(plan.command)
        self._news = asyncio.Event()
        """Set by what the view is to show at once."""
        self._moved_at = time.monotonic()
        self._noted_at = 0.0

    async def run(self, started: float) -> None:
        """Run until a demo is done; otherwise until it is cancelled. started: when the command began, monotonic s."""
        stack = self._stack
        with self._display.step(f"topics at {self._settings.bootstrap}"):
            names = [agent.name for agent in AGENTS]
            patience = OWN_TOPICS_TIMEOUT_S if stack and stack.kafka else TOPICS_TIMEOUT_S
            if self._plan.demo and self._plan.bootstrap:
                self._ending.push_async_callback(self._delete_topics)
            await ensure_topics(self._settings, names, timeout_s=patience)
        worker = WorkerChild(
            self._settings, note=self._note, bury=self._bury, restarts=0 if self._plan.demo else RESTARTS
        )
        watcher = Watcher(self._settings, AGENTS, self._deliver, whole=self._plan.demo)
        feeder = self._feeder(watcher)
        self._status.bootstrap = self._settings.bootstrap
        ends: list[Callable[[], Awaitable[object]]] = [worker.stop, partial(_soon, watcher.stop)]
        self._ending.push_async_callback(_together, ends)
        self._background.begin(self._worker(worker, evicting=bool(stack and stack.kafka)))
        with self._display.step("worker takes over its partitions"):
            if not self._plan.demo:
                self._show(worker, watcher, feeder)
            await watcher.start()
            self._background.begin(watcher.run())
            await worker.ready.wait()
        self._moved_at = time.monotonic()
        if self._plan.demo:
            self._show(worker, watcher, feeder)
        else:  # now: before, they would take the processor from what the view waits for
            await self._open_doors(ends)
        self._background.begin(self._project())
        await feeder.run()
        if not self._plan.demo:
            rounds = self._plan.rounds
            fed = f"{rounds} rounds of the scenario are fed (--rounds N: more)" if rounds else "nothing is fed"
            self._note(f"{fed}; Kafka {self._settings.bootstrap} takes records of yours")
            await asyncio.Event().wait()
        await watcher.settled()
        await watcher.caught_up()
        self._display.close()
        for line in summary(self._totals, feeder.sent, time.monotonic() - started):
            self._display.say(line)

    async def _worker(self, worker: WorkerChild, *, evicting: bool) -> None:
        """Keep the worker up. evicting: nobody else can be a member of our groups."""
        if evicting:
            groups = *groups_of(self._settings.group), f"{self._settings.group}.projection"
            # Where the broker cannot do it yet, dead members time out.
            await asyncio.gather(*(evict(self._settings, group) for group in groups), return_exceptions=True)
        await worker.run()

    def _show(self, worker: WorkerChild, watcher: Watcher, feeder: Feeder) -> None:
        self._display.open(self._view_state, self._status)
        self._background.begin(self._keep_fresh(worker, watcher, feeder))

    async def _open_doors(self, ends: list[Callable[[], Awaitable[object]]]) -> None:
        """Start what applications use; nobody waits for it. What ends it is added to `ends`."""

        async def nothing() -> None:
            """Do nothing: its consumers are in groups of their own, or in none."""

        from endocrine.pipeline.local.live.doors import Doors  # now: it takes as long as the step before it

        doors = Doors(self._settings, note=self._note, bury=nothing, ours=self._plan.bootstrap is None)
        ends.append(doors.stop)
        await doors.start()
        for child in doors.children:
            self._background.begin(self._kept(child))
        self._background.begin(self._announced(doors))

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

    async def _bury(self) -> None:
        if self._plan.bootstrap is None:
            with contextlib.suppress(KafkaError):  # then it times out
                await evict(self._settings, self._settings.group)

    async def _delete_topics(self) -> None:
        admin = admin_client(self._settings)
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
            place = FeedPosition(self._settings.data_dir, f"{kafka} {self._settings.prefix}" if kafka else "local")
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

    async def _project(self) -> None:
        """Read models: without them the pipeline goes on, so in `run` their failure is a note."""
        from endocrine.pipeline.views.redis import Projection  # now: the view does not wait for it

        try:
            await Projection(self._settings).run()
        except Exception as error:
            if self._plan.demo:
                raise
            self._note(f"read models stopped: {error}")

    async def _keep_fresh(self, worker: WorkerChild, watcher: Watcher, feeder: Feeder) -> None:
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
            if self._stack and (died := self._stack.died()):
                raise BrokerError(died)
            if self._plan.demo and now - self._moved_at > STALLED_S:
                raise RunFailed(
                    f"nothing was derived for {STALLED_S:.0f} s, lag {status.lag}; see {worker.log} and"
                    f" {self._settings.data_dir / 'run.log'}"
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


async def _together(ends: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """What needs the stack ends at once, none waiting for another; a failure is raised when all have ended."""
    for result in await asyncio.gather(*(end() for end in ends), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _soon(stop: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop(), LEAVE_S)
