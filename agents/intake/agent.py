"""Reads topics that no other agent reads yet; thinks nothing.

Read's rules apply to whatever an agent reads: malformed records go to the dead letters and misfits to their place. When
an agent starts to read one of these topics it becomes its owner in the catalogue, and the topic leaves this list.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.contract import Output, State, Trigger

if TYPE_CHECKING:
    from agents.policy.compiled import Policy


@dataclass(frozen=True)
class Intake:
    """An agent without state and without outputs."""

    name: str = "intake"
    sources: tuple[str, ...] = ("tool-results", "model-replies")
    targets: tuple[str, ...] = ()

    def key(self, trigger: Trigger) -> str:
        """The identity; nothing is ever stored under it."""
        return trigger.identity

    def think(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Nothing."""
        return None, []


AGENT = Intake()
