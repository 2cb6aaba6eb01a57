"""What a test with few agents needs of the broker: a worker makes the topics of all agents, a test waits for each."""

from collections.abc import Iterable

from endocrine.agents.contract import Agent
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.topic_layout import PhysicalTopic, changelog_name, physical_topics
from endocrine.pipeline.process.settings import Settings

_OF_PROCESSES = frozenset(
    {
        "policies",
        "policy-rollouts",
        "journal",
        "effect-starts",
        "model-chunks",
        "scheduled-tasks",
        "checkpoints",
        "content-keys",
    }
)
"""What workers, connectors and auditors write beside what agents do."""


def agents_named(*names: str) -> list[Agent]:
    """Return these agents, in the order of the registry. Raises AssertionError for a name that none has."""
    found = [agent for agent in AGENTS if agent.name in names]
    assert len(found) == len(names), names
    return found


def needed_topics(settings: Settings, agent_names: Iterable[str]) -> list[PhysicalTopic]:
    """Return the topics that these agents read or write, dead letters and changelogs included; in place of
    `physical_topics`, which gives those of all agents whoever is named."""
    agents = agents_named(*agent_names)
    names = _OF_PROCESSES.union(*((*agent.sources, *agent.targets) for agent in agents))
    names |= {CATALOGUE[topic].dead_letters for topic in names if CATALOGUE[topic].owner is not None}
    wanted = {settings.prefix + name for name in names} | {changelog_name(settings, agent.name) for agent in agents}
    return [topic for topic in physical_topics(settings, [agent.name for agent in agents]) if topic.name in wanted]
