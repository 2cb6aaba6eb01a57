"""How far each agent is, by the journal: lag, and whether all is derived. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from endocrine.agents.contract import Agent

Where = tuple[str, int]
"""Topic without prefix, and partition."""


class ConsumerLag:
    """The next offset each agent needs, per source topic and partition.

    The journal is exact and at once; the group's committed offsets, late and the lowest over all agents, serve where
    the journal was not read from its beginning.
    """

    def __init__(self, agents: Iterable[Agent]) -> None:
        self.sources = {agent.name: agent.sources for agent in agents}
        self._derived: dict[tuple[str, Where], int] = {}
        self._at_least: dict[Where, int] = {}

    def journal(self, entry: Mapping[str, Any]) -> None:
        """Note that a batch was derived, and its outputs produced before this entry."""
        for topic, first, count in entry["runs"]:
            key = entry["agent"], (topic, entry["partition"])
            self._derived[key] = max(self._derived.get(key, 0), first + count)

    def at_least(self, where: Where, offset: int) -> None:
        """Note that every agent is here at least: the group committed it, or the topic begins there."""
        self._at_least[where] = max(self._at_least.get(where, 0), offset)

    def committed(self, agents: Iterable[str], where: Where, offset: int) -> None:
        """Note that each of these agents, of one group, is here at least."""
        for agent in agents:
            self._derived[agent, where] = max(self._derived.get((agent, where), 0), offset)

    def copy(self) -> "ConsumerLag":
        """Return a copy as it is now."""
        other = ConsumerLag(())
        other.sources = self.sources
        other._derived, other._at_least = dict(self._derived), dict(self._at_least)
        return other

    def next_offset(self, agent: str, where: Where) -> int:
        """Return the offset that the agent reads next there."""
        return max(self._derived.get((agent, where), 0), self._at_least.get(where, 0))

    def lag(self, ends: Mapping[Where, int]) -> dict[str, int]:
        """Return records each agent has still to read, given the log ends of (some) source topics."""
        return {
            agent: sum(
                max(0, end - self.next_offset(agent, where)) for where, end in ends.items() if where[0] in sources
            )
            for agent, sources in self.sources.items()
        }

    def settled(self, ends: Mapping[Where, int]) -> bool:
        """Return whether nothing is left to derive, if these ends were asked for after this state was known.

        An agent produces before it journals. So when the journal covers ends that were asked for later, no output was
        on its way that the ends do not count.
        """
        return not any(self.lag(ends).values())
