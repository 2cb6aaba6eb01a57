"""Agents whose states can be moved from one subject to another, by operators' commands (memory, section 2).

`adopt` brings the state of another subject as a part of the command, so that replay sees the move; `retire` ends a
state that was moved. Both lie under one subject each. What the states of two subjects are together is the agent's own
rule (`rekey.py` in its package); this module does what all of them share.

- Each command has one answer, on `rekeys`: of a check, whether the adoption would be possible.
- The same adoption again changes nothing. A state is retired only as it was planned (its digest), else it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from endocrine.agents._shared.moving import (
    Conflict,
    Move,
    Mover,
    adoption_mark,
    none_erased,
    opened,
    state_digest,
    with_adopted,
)
from endocrine.agents._shared.subjects import finer
from endocrine.agents.attribution import rekey as attribution
from endocrine.agents.bonds import rekey as bonds
from endocrine.agents.conflicts import rekey as conflicts
from endocrine.agents.contract import Agent, Output, State, Trigger
from endocrine.agents.feedback import rekey as feedback
from endocrine.agents.linkage import rekey as linkage
from endocrine.agents.memory import rekey as memory
from endocrine.agents.reflection import rekey as reflection
from endocrine.agents.trust import rekey as trust
from endocrine.schemas.commands import Adopt, Retire

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

REKEYS = "rekeys"
MOVES = frozenset((Adopt, Retire))

MOVERS: Mapping[str, Mover] = {
    "memory": Mover(memory.merge, memory.erased),
    "conflicts": Mover(conflicts.merge, conflicts.erased),
    "reflection": Mover(reflection.merge, none_erased),
    "trust": Mover(trust.merge, trust.erased),
    "bonds": Mover(bonds.merge, bonds.erased),
    "feedback": Mover(feedback.merge, feedback.erased),
    "attribution": Mover(attribution.merge, attribution.erased),
    "suspicion": Mover(None, none_erased),
    "linkage": Mover(linkage.merge, linkage.erased),
    "modulation": Mover(None, none_erased, "turns"),
    "gating": Mover(None, none_erased, "turns"),
    "conversation": Mover(None, none_erased, "turns"),
    "audit": Mover(None, none_erased, "open"),
    "capture": Mover(None, none_erased, "open"),
}
"""By agent, in the order in which states are adopted: a conflict marks memories, which must be there by then."""
ERASURES = "erasures"
"""Where the commands lie that end and move states of agents which read no others. On `commands` recent ids are kept
beside each state, and the states of these have no such ids: reading it, they would not know their own any more."""


@dataclass(frozen=True)
class MovableAgent:
    """An agent, and the commands that move its states. Everything else is the agent's own.

    State: the agent's, or `{"$rekeyed": [...], "state": its own}` once it adopted another.
    """

    agent: Agent
    mover: Mover
    name: str = field(init=False)
    sources: tuple[str, ...] = field(init=False)
    targets: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Take what the runtime asks for from the agent."""
        object.__setattr__(self, "name", self.agent.name)
        object.__setattr__(self, "sources", self.agent.sources)
        object.__setattr__(self, "targets", (*self.agent.targets, REKEYS))

    def key(self, trigger: Trigger) -> str:
        """Return the state that is moved; of another agent's, or of another subject's, a key that never has a state."""
        if trigger.value.__class__ in MOVES:
            return str(trigger.value.key) if self._fits(trigger) else finer(trigger.identity, "")
        return self.agent.key(trigger)

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record: a move, or what the agent itself processes. Raises what the agent raises; of a move,
        nothing."""
        value = trigger.value
        if value.__class__ in MOVES:
            if value.agent != self.name:
                return state, []
            if not self._fits(trigger):
                return state, [_answer(trigger, "refused", "key_of_another_subject")]
            adopting = value.__class__ is Adopt
            return self._adopted(state, trigger, policy) if adopting else self._retired(state, trigger)
        own, adopted = opened(state)
        if not adopted:
            return self.agent.process(state, trigger, policy)
        after, outputs = self.agent.process(own, trigger, policy)
        return (state if after is own else with_adopted(after, adopted)), outputs

    def _fits(self, trigger: Trigger) -> bool:
        key: str = trigger.value.key
        return trigger.value.agent == self.name and (
            key == trigger.identity or key.startswith(finer(trigger.identity, ""))
        )

    def _adopted(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        command: Adopt = trigger.value
        own, adopted = opened(state)
        mark = adoption_mark(command.rekey_id, command.digest_old)
        if mark in adopted:
            return state, [_answer(trigger, "unchanged", None)]
        if self.mover.merge is None:
            return state, [_answer(trigger, "conflict", "nothing_moves")]
        try:
            after, outputs = self.mover.merge(command.state, own, Move(command.old, trigger, policy))
        except Conflict as conflict:
            return state, [_answer(trigger, "conflict", conflict.reason)]
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            return state, [_answer(trigger, "conflict", "unreadable")]
        if command.check:
            return state, [_answer(trigger, "possible", None)]
        changed = command.digest_new != (None if state is None else state_digest(state))
        answer = _answer(trigger, "adopted", "changed" if changed else None)
        return with_adopted(after, [*adopted, mark]), [*outputs, answer]

    def _retired(self, state: State, trigger: Trigger) -> tuple[State, list[Output]]:
        command: Retire = trigger.value
        if state is None:
            return None, [_answer(trigger, "absent", None)]
        if state_digest(state) != command.digest_old:
            return state, [_answer(trigger, "refused", "changed")]
        own, _ = opened(state)
        if self.mover.open_turns is not None and own.get(self.mover.open_turns):
            return state, [_answer(trigger, "refused", "open_turns")]
        part = command.key[len(trigger.identity) + 1 :]
        return None, [*self.mover.erased(own, trigger.identity, part), _answer(trigger, "retired", None)]


def movable(agent: Agent) -> Agent:
    """Return the agent with the commands that move its states, where it has states of subjects."""
    mover = MOVERS.get(agent.name)
    return agent if mover is None else MovableAgent(agent, mover)


def _answer(trigger: Trigger, outcome: str, reason: str | None) -> Output:
    command: Any = trigger.value
    value = {
        "subject": trigger.identity,
        "rekey_id": command.rekey_id,
        "agent": command.agent,
        "key": command.key,
        "outcome": outcome,
        "reason": reason,
        "command_id": trigger.id,
        "by": command.by,
        "ts": command.ts,
    }
    return Output(REKEYS, trigger.identity, value)
