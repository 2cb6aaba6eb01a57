"""Watches a worker: lag, steps and the event loop; says whether it is live and ready, and ends it when it stalls."""

import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import structlog

from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.logs import fault
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.errors import Retry, Stalled
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from endocrine.pipeline.runtime.worker.stalls import StallDetector
from endocrine.pipeline.views.metrics.health import Health, Part
from endocrine.pipeline.views.metrics.registry import Metrics

LOOK_S = 10.0
"""Seconds between looks: each asks the broker once for the ends of all topics that are read."""
ANSWER_S = 5.0
"""Seconds until a broker that does not answer a look counts as away."""
PAUSED_S = 45.0
"""Seconds without a look after which it was the process that did not run (stopped, or its machine asleep). That time
counts for nobody."""
STALLED = 3
"""Exit code of a worker that stalled."""
log = structlog.get_logger(__name__)


class Watch:
    """Watches one worker.

    on_stall: called with what makes the worker end. clock: monotonic seconds, passed in by tests. rollout: what follows
    the published policy, once there is something that does.
    """

    def __init__(
        self,
        settings: Settings,
        manager: ProcessorManager,
        on_stall: Callable[[BaseException], None],
        metrics: Metrics | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rollout: Callable[[], PolicyFollower | None] = lambda: None,
    ) -> None:
        self.stalls = StallDetector()
        self._settings, self._manager, self._on_stall, self._metrics = settings, manager, on_stall, metrics
        self._clock, self._rollout = clock, rollout
        self._beat = self._looked = clock()
        self._used = clock(), time.process_time()
        self._broker = False
        self._health = Health({"broker": Part("waiting"), "assignment": Part("waiting")})
        if metrics is not None:
            metrics.roles["worker"] = self.health

    @property
    def hung(self) -> bool:
        """Whether the event loop has not come round for so long that the process is to be started anew."""
        return self._clock() - self._beat > self._settings.stall_exit_s

    def health(self) -> Health:
        """Return the health as of the last look. May be called from another thread."""
        return self._health._replace(live=not self.hung)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.beat()
            try:
                await self.look()
            except Exception as error:  # who watches must not end before what it watches
                log.error("cannot look", error=fault(error))
            await asyncio.sleep(LOOK_S)

    def beat(self) -> None:
        """Note that the event loop comes round."""
        self._beat = self._clock()

    async def look(self) -> None:
        """Look once. Calls `on_stall` when a processor has taken no step for too long."""
        now, looked = self._clock(), self._looked
        self._looked = now
        if now - looked > PAUSED_S:
            self.stalls.excuse(now)
        try:
            self.stalls.observe(self._clock(), await asyncio.wait_for(self._manager.progress(), ANSWER_S))
            self._broker = True
        except (Retry, TimeoutError):
            self.stalls.excuse(self._clock())
            self._broker = False
        ages = self.stalls.ages()
        self._health = self._judge(ages)
        self._count(ages)
        name, age = max(ages.items(), key=lambda item: item[1], default=("", 0.0))
        if age > self._settings.stall_exit_s:
            self._on_stall(
                Stalled(
                    f"{name} has {self.stalls.behind()[name]} records to read and took no step for {age:.0f} s, more "
                    f"than ENDOCRINE_STALL_EXIT_S ({self._settings.stall_exit_s:g}): this worker ends with exit code "
                    f"{STALLED}, so that its supervisor starts it anew"
                )
            )

    def _judge(self, ages: dict[str, float]) -> Health:
        manager, behind = self._manager, self.stalls.behind()
        stalled = sorted(name for name, age in ages.items() if age > self._settings.stall_unready_s)
        partitions = len({number for _, number in manager.processors})
        recovering = 0 if manager.running else len(manager.processors)
        return Health(
            {
                "broker": Part("ok" if self._broker else "failed"),
                "assignment": Part("ok" if manager.resumed.is_set() else "waiting", {"partitions": partitions}),
                "recovery": Part("waiting" if recovering else "ok", {"recovering": recovering}),
                "progress": Part(
                    "failed" if stalled else "ok",
                    {"stalled": stalled, "commit_age_s": round(max(ages.values(), default=0.0), 1)},
                ),
                "lag": Part("ok", {"records": sum(behind.values())}),
                **({} if (follower := self._rollout()) is None else {"policy": policy_part(follower)}),
            }
        )

    def _count(self, ages: dict[str, float]) -> None:
        (began, used), now, uses = self._used, self._clock(), time.process_time()
        self._used = now, uses
        if self._metrics is None:
            return
        oldest: dict[str, float] = defaultdict(float)
        lag: dict[str, int] = defaultdict(int)
        for name, behind in self.stalls.behind().items():
            agent = name.rpartition("/")[0]
            lag[agent] += behind
            oldest[agent] = max(oldest[agent], ages[name])
        for agent in self._manager.agents:
            self._metrics.add("endocrine_lag_records", lag[agent], agent=agent)
            self._metrics.add("endocrine_commit_age_seconds", oldest[agent], agent=agent)
        if now > began:
            self._metrics.add("endocrine_idle_ratio", min(1.0, max(0.0, 1 - (uses - used) / (now - began))))
        if (follower := self._rollout()) is not None:
            self._metrics.add("endocrine_policy_rollout", follower.rollouts.number)
            self._metrics.add("endocrine_policy_refused", follower.refused is not None)


def policy_part(follower: PolicyFollower) -> Part:
    """Return the policy in force as a part of a role. One that cannot follow decides all the same: it stays ready."""
    refused = {} if follower.refused is None else {"refused": follower.refused}
    return Part("ok", {"digest": follower.policy.digest, "rollout": follower.rollouts.number, **refused})


def end_when_hung(watch: Watch, *, every_s: float = LOOK_S, end: Callable[[int], None] = os._exit) -> threading.Event:
    """End the process from a thread of its own when the event loop hangs, which no task of the loop could see.

    Return what ends the thread when it is set.
    """
    over = threading.Event()

    def look() -> None:
        before = False
        while not over.wait(every_s):
            before, again = watch.hung, before
            if before and again:  # after a pause of the whole process the loop comes round in between
                log.error("the worker must stop", error="Stalled: its event loop hangs; see ENDOCRINE_STALL_EXIT_S")
                sys.stdout.flush()
                sys.stderr.flush()
                end(STALLED)
                return

    threading.Thread(target=look, name="hang watch", daemon=True).start()
    return over
