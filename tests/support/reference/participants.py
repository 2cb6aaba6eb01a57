"""Who writes and who reads a topic besides the agents, which say so themselves (`sources`, `targets`)."""

from collections.abc import Mapping, Sequence

from endocrine.agents.contract import Agent
from endocrine.pipeline.connectors.timers import TOPICS as TIMED
from endocrine.pipeline.views.redis.writes import TOPICS as PROJECTED

APPLICATIONS = "your application"
OPERATORS = "operators"
MODEL, TOOLS, TIMEKEEPER = (f"`endocrine connect {name}`" for name in ("model", "tools", "timekeeper"))
GATEWAY = "`endocrine gateway`"
EVERY_AGENT = "every worker"
_WRITERS: Mapping[str, Sequence[str]] = {
    "interactions": (APPLICATIONS,),
    "signals": (APPLICATIONS,),
    "observations": ("BEHAVE sensors",),
    "tool-calls": (APPLICATIONS,),
    "tool-results": (APPLICATIONS, TOOLS, GATEWAY),
    "feedback": (APPLICATIONS,),
    "detections": ("entrainment detectors",),
    "commands": (OPERATORS, TIMEKEEPER),
    "policies": (EVERY_AGENT, "`endocrine policy`", GATEWAY),
    "policy-rollouts": ("`endocrine policy`", GATEWAY),
    "model-replies": (MODEL,),
    "model-chunks": (MODEL,),
    "images": (GATEWAY,),
    "effect-starts": (TOOLS,),
    "scheduled-tasks": (TOOLS,),
    "context-packs": (GATEWAY, "`endocrine context`"),
    "late-advice": (GATEWAY,),
    "facts": ("exporters of your tools",),
    "opinions": (OPERATORS, APPLICATIONS, GATEWAY),
    "journal": (EVERY_AGENT,),
    "content-keys": (EVERY_AGENT, GATEWAY, MODEL, TOOLS, "`endocrine ingest`", "`endocrine erase`"),
    "checkpoints": ("`endocrine audit checkpoint`",),
    "dlq-actions": ("`endocrine dlq`",),
    "erasures": ("`endocrine erase`", "`endocrine names rekey`"),
    "ops-events": ("`endocrine erase`", "`endocrine backup drill`"),
}
"""Topic to its writers that are no agents."""
_READERS: Mapping[str, Sequence[str]] = {
    "modulations": (APPLICATIONS,),
    "tool-decisions": (APPLICATIONS, TOOLS),
    "tool-calls": (TOOLS,),
    "tool-results": (TOOLS,),
    "model-requests": (MODEL,),
    "model-replies": (MODEL,),
    "model-chunks": (GATEWAY,),
    "images": (MODEL,),
    "effect-starts": (TOOLS,),
    "audits": ("`endocrine explain`", "`endocrine audit verify`"),
    "journal": ("`endocrine replay`", "`endocrine audit verify`"),
    "policies": ("`endocrine replay`", "`endocrine policy`"),
    "policy-rollouts": (EVERY_AGENT, GATEWAY, MODEL, TOOLS, TIMEKEEPER, "`endocrine policy`"),
    "content-keys": ("all who read content",),
    "checkpoints": ("`endocrine audit verify`",),
    "dlq-actions": ("`endocrine dlq`",),
    "tool-analytics": ("dashboards",),
    "scheduled-tasks": ("your scheduler",),
    "context-packs": ("`endocrine context last`",),
    "registry": (GATEWAY, "`endocrine names`", "`endocrine ingest`"),
    "registry-events": (GATEWAY, "`endocrine names`"),
    "rekeys": ("`endocrine names`",),
    "erasure-events": ("`endocrine erase`",),
    "ops-events": ("operators",),
}
"""Topic to its readers that are no agents. Replay and the live view read every topic, and are left out elsewhere."""
READ_MODELS = "Redis read models"


def writers(topic: str, agents: Sequence[Agent]) -> list[str]:
    """Who writes the topic: programs of others first, then agents by name."""
    return [*_WRITERS.get(topic, ()), *(agent.name for agent in agents if topic in agent.targets)]


def readers(topic: str, agents: Sequence[Agent]) -> list[str]:
    """Who reads the topic: programs first, then agents by name."""
    found = [*_READERS.get(topic, ())]
    if topic in PROJECTED:
        found.append(READ_MODELS)
    if topic in TIMED:
        found.append(TIMEKEEPER)
    return found + [agent.name for agent in agents if topic in agent.sources]
