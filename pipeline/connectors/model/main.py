"""The model connector as a process."""

import os
import sys
from collections.abc import Callable
from functools import partial

import structlog

from endocrine.pipeline.connectors.effect_runner import EffectRunner, Limits
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.settings import ModelSettings, missing_key
from endocrine.pipeline.connectors.prerequisites import prerequisites
from endocrine.pipeline.connectors.process import UNUSABLE, serve
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.event_loop import run
from endocrine.pipeline.process.settings import Settings

log = structlog.get_logger(__name__)


def main(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 no key, or the policy cannot be used."""
    model = ModelSettings()
    if (problem := missing_key(model, os.environ)) is not None:
        print(problem, file=sys.stderr)
        return UNUSABLE
    if (found := prerequisites(settings, "model")) is None:
        return UNUSABLE
    policy, seals, metrics = found
    effect = ModelEffect(model, policy.document.models, record_bytes=settings.max_record_bytes, metrics=metrics)
    limits = Limits(concurrency=model.concurrency, waiting=4 * model.concurrency)
    runner = EffectRunner(settings, effect, limits=limits, metrics=metrics, seals=seals)
    follow = partial(PolicyFollower, settings, seals, policy, effect.follow)
    return run(_serve(runner, effect, on_ready, follow))


async def _serve(
    runner: EffectRunner, effect: ModelEffect, on_ready: Callable[[], None], follow: Callable[[], PolicyFollower]
) -> int:
    try:
        return await serve(runner.settings, effect.name, runner, on_ready, follow)
    finally:
        await effect.close()
        log.info("account", **effect.account.as_log_fields())
