"""All connectors in one process, for one machine: `endocrine connect all`. Each has a consumer and group of its own."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.contract import Limits
from endocrine.pipeline.connectors.effect_runner import EffectRunner
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings, missing_key
from endocrine.pipeline.connectors.prerequisites import prerequisites
from endocrine.pipeline.connectors.process import UNUSABLE, Running, serve
from endocrine.pipeline.connectors.timers import Timekeeper
from endocrine.pipeline.connectors.tools.main import tool_effect
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.connectors.waits import waits_of
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.event_loop import run
from endocrine.pipeline.process.settings import Settings


class Together:
    """Several that run as one: ready when all are, stopped together, failed when one has."""

    def __init__(self, parts: Sequence[Running]) -> None:
        self._parts = parts
        self.ready = asyncio.Event()
        self.failure: BaseException | None = None

    def stop(self) -> None:
        """Ask all to stop."""
        for part in self._parts:
            part.stop()

    async def run(self) -> None:
        """Run until asked to stop, or until one of them has stopped."""
        readying = asyncio.create_task(self._ready())
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts:
                    group.create_task(self._one(part))
        finally:
            readying.cancel()
        self.failure = next((part.failure for part in self._parts if part.failure is not None), None)

    async def _one(self, part: Running) -> None:
        await part.run()
        self.stop()

    async def _ready(self) -> None:
        for part in self._parts:
            await part.ready.wait()
        self.ready.set()


def main(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 no key, or the policy cannot be used."""
    model, tools = ModelSettings(), ToolSettings()
    if (problem := missing_key(model, os.environ)) is not None:
        print(problem, file=sys.stderr)
        return UNUSABLE
    if (found := prerequisites(settings, "connectors")) is None:
        return UNUSABLE
    policy, seals, metrics = found
    asking = ModelEffect(model, policy.document.models, record_bytes=settings.max_record_bytes, metrics=metrics)
    running = tool_effect(settings, policy, tools, metrics, seals)

    async def work() -> int:
        timekeeper = Timekeeper(settings, waits_of(policy), seals=seals, metrics=metrics)
        parts: list[Running] = [
            EffectRunner(settings, asking, limits=_limits(model.concurrency), metrics=metrics, seals=seals),
            EffectRunner(settings, running, limits=_limits(tools.concurrency), metrics=metrics, seals=seals),
            timekeeper,
        ]

        async def adopt(policy: Policy) -> None:
            for part in (asking, running, timekeeper):
                await part.follow(policy)

        try:
            follow = partial(PolicyFollower, settings, seals, policy, adopt)
            return await serve(settings, "connectors", Together(parts), on_ready, follow)
        finally:
            await asyncio.gather(asking.close(), running.close())

    return run(work())


def _limits(concurrency: int) -> Limits:
    return Limits(concurrency=concurrency, waiting=4 * concurrency)
