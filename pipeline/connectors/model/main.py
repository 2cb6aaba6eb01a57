"""The model connector as a process."""

import asyncio
import os
import sys
from collections.abc import Callable

import structlog

from pipeline.admin import ensure_topics
from pipeline.connectors.effects import Limits, Runner, run_effects
from pipeline.connectors.model.effect import ModelEffect
from pipeline.connectors.model.settings import ModelSettings, missing_key
from pipeline.metrics.registry import Metrics
from pipeline.metrics.serve import serve
from pipeline.policy_files import PolicyFileError, load_policy
from pipeline.settings import Settings

log = structlog.get_logger(__name__)
UNUSABLE = 2
"""Exit code where settings, policy or key cannot be used."""


def main(told_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 no key, or the policy cannot be used."""
    settings, model = Settings(), ModelSettings()
    if (told := missing_key(model, os.environ)) is not None:
        print(told, file=sys.stderr)
        return UNUSABLE
    try:
        policy = load_policy(settings.policy, os.environ)
    except PolicyFileError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    metrics = serve(settings, [], policy)
    effect = ModelEffect(model, policy.document.models)
    return asyncio.run(_serve(settings, effect, model.concurrency, told_ready, metrics))


async def _serve(
    settings: Settings,
    effect: ModelEffect,
    concurrency: int,
    told_ready: Callable[[], None],
    metrics: Metrics | None = None,
) -> int:
    try:
        await ensure_topics(settings, [])
    except Exception as error:
        log.error("the connector cannot start", connector=effect.name, error=f"{type(error).__name__}: {error}")
        return 1
    limits = Limits(concurrency=concurrency, waiting=4 * concurrency)
    runner = Runner(settings, effect, limits=limits, metrics=metrics)
    telling = asyncio.create_task(_tell(runner, told_ready))
    try:
        return await run_effects(runner)
    finally:
        telling.cancel()
        await effect.close()
        log.info("account", **effect.account.told())


async def _tell(runner: Runner, told_ready: Callable[[], None]) -> None:
    await runner.ready.wait()
    told_ready()
