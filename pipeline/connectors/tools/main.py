"""The tool connector as a process."""

import asyncio
import os
import sys
from collections.abc import Callable

import structlog
from pydantic import ValidationError

from agents.policy.compiled import Policy
from pipeline.admin import ensure_topics
from pipeline.connectors.contract import Limits
from pipeline.connectors.effects import Runner, run_effects
from pipeline.connectors.tools.calls import Calls
from pipeline.connectors.tools.effect import ToolEffect
from pipeline.connectors.tools.registry import handlers_of
from pipeline.connectors.tools.settings import ToolSettings
from pipeline.metrics.registry import Metrics
from pipeline.metrics.serve import serve
from pipeline.policy_files import PolicyFileError, load_policy
from pipeline.settings import Settings

log = structlog.get_logger(__name__)
UNUSABLE = 2
"""Exit code where settings or policy cannot be used."""
_MARGIN_S = 900.0
"""Seconds that calls are read back beyond the longest that one can have waited for its decision: clocks differ."""


def main(told_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 settings or policy cannot be used."""
    try:
        settings, tools = Settings(), ToolSettings()
        policy = load_policy(settings.policy, os.environ)
    except (PolicyFileError, ValidationError, ValueError) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    metrics = serve(settings, [], policy)
    return asyncio.run(_serve(settings, tool_effect(settings, policy, tools), tools, told_ready, metrics))


def tool_effect(settings: Settings, policy: Policy, tools: ToolSettings) -> ToolEffect:
    """The effect of a deployment, to be closed at the end.

    Its deadlines are the times for which a conversation waits: what came later would come in vain.
    """
    waits = policy.document.conversation.waits
    deadline_s, decision_s = waits.result_ms / 1000, waits.decision_ms / 1000
    lookback_s = policy.document.gating.approval_ttl_s + deadline_s + _MARGIN_S
    return ToolEffect(
        policy,
        handlers_of(tools),
        Calls(settings, lookback_s=lookback_s),
        tools,
        deadline_s=deadline_s,
        decision_s=decision_s,
    )


async def _serve(
    settings: Settings,
    effect: ToolEffect,
    tools: ToolSettings,
    told_ready: Callable[[], None],
    metrics: Metrics | None = None,
) -> int:
    try:
        await ensure_topics(settings, [])
    except Exception as error:
        log.error("the connector cannot start", connector=effect.name, error=f"{type(error).__name__}: {error}")
        return 1
    limits = Limits(concurrency=tools.concurrency, waiting=4 * tools.concurrency)
    runner = Runner(settings, effect, limits=limits, metrics=metrics)
    telling = asyncio.create_task(_tell(runner, told_ready))
    try:
        return await run_effects(runner)
    finally:
        telling.cancel()
        await effect.close()


async def _tell(runner: Runner, told_ready: Callable[[], None]) -> None:
    await runner.ready.wait()
    told_ready()
