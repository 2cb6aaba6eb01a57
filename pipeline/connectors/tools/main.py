"""The tool connector as a process."""

from collections.abc import Callable

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.contract import Limits
from endocrine.pipeline.connectors.effect_runner import EffectRunner
from endocrine.pipeline.connectors.prerequisites import prerequisites
from endocrine.pipeline.connectors.process import UNUSABLE, serve
from endocrine.pipeline.connectors.tools.calls import Calls
from endocrine.pipeline.connectors.tools.effect import ToolEffect
from endocrine.pipeline.connectors.tools.registry import handlers_of
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka.policy_follower import PolicyFollower
from endocrine.pipeline.process.event_loop import run
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.metrics.registry import Metrics

_MARGIN_S = 900.0
"""Seconds that calls are read back beyond the longest that one can have waited for its decision: clocks differ."""


def main(settings: Settings, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run until SIGINT or SIGTERM. Exit codes: 0 stopped as asked, 1 failed, 2 settings or policy cannot be used."""
    tools = ToolSettings()
    if (found := prerequisites(settings, "tools")) is None:
        return UNUSABLE
    policy, seals, metrics = found
    effect = tool_effect(settings, policy, tools, metrics, seals)
    limits = Limits(concurrency=tools.concurrency, waiting=4 * tools.concurrency)
    runner = EffectRunner(settings, effect, limits=limits, metrics=metrics, seals=seals)
    return run(_serve(runner, effect, on_ready, lambda: PolicyFollower(settings, seals, policy, effect.follow)))


def tool_effect(
    settings: Settings,
    policy: Policy,
    tools: ToolSettings,
    metrics: Metrics | None = None,
    seals: Seals | None = None,
) -> ToolEffect:
    """Return the effect of a deployment, to be closed at the end.

    Its deadlines are the times for which a conversation waits: what came later would come in vain.
    """
    waits = policy.document.conversation.waits
    deadline_s, decision_s = waits.result_ms / 1000, waits.decision_ms / 1000
    lookback_s = policy.document.gating.approval_ttl_s + deadline_s + _MARGIN_S
    return ToolEffect(
        policy,
        handlers_of(tools),
        Calls(settings, lookback_s=lookback_s, seals=seals),
        tools,
        deadline_s=deadline_s,
        decision_s=decision_s,
        max_record_bytes=settings.max_record_bytes,
        metrics=metrics,
    )


async def _serve(
    runner: EffectRunner, effect: ToolEffect, on_ready: Callable[[], None], follow: Callable[[], PolicyFollower]
) -> int:
    try:
        return await serve(runner.settings, effect.name, runner, on_ready, follow)
    finally:
        await effect.close()
