"""The suspicion agent: transitions of one identity's primitives in, `multi_actor_suspected` out (rules 5).

It keeps the set of primitives in multi_actor, and produces a record whenever that set changes and holds at least
`suspicion.least_primitives`. Falling below re-arms it: the same set, reached again, is produced again. A repeated
transition changes no set and produces nothing. At most `suspicion.most` primitives are kept; one more is left
out until it next enters multi_actor, which shows by the length of `primitives`.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from endocrine.agents.contract import Output, State, Trigger

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

Suspects = list[str] | None
"""The sorted primitives in multi_actor; None where there are none."""


@dataclass(frozen=True)
class SuspicionAgent:
    """See the module's docstring. State: `Suspects`."""

    name: str = "suspicion"
    sources: tuple[str, ...] = ("attribution-changes",)
    targets: tuple[str, ...] = ("attribution-changes",)

    def key(self, trigger: Trigger) -> str:
        """Return the identity: its primitives are looked at together."""
        return trigger.identity

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process one transition; what this agent produced itself has no effect."""
        change = trigger.value
        if change.kind != "state_changed":
            return state, []
        rules = policy.document.attribution.suspicion
        known_suspects: Suspects = state
        held = known_suspects or []
        at = bisect_left(held, change.primitive)
        known = at < len(held) and held[at] == change.primitive
        if change.new_state == "multi_actor":
            if known or len(held) >= rules.most:
                return state, []
            held = [*held[:at], change.primitive, *held[at:]]
        elif known:
            held = [*held[:at], *held[at + 1 :]]
        else:
            return state, []
        if len(held) < rules.least_primitives:
            return held or None, []
        suspected = {
            "kind": "multi_actor_suspected",
            "identity": trigger.identity,
            "primitives": held,
            "confidence": rules.confidence,
            "ts": change.ts,
        }
        return held, [Output("attribution-changes", trigger.identity, suspected)]


AGENT = SuspicionAgent()
