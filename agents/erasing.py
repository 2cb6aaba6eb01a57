"""Agents whose states can be erased, by operators' commands in the journal (memory, section 10 and 14.23).

An erasure is a record like any other: each agent reads it in its place among its inputs, so that replay and every
worker end with the same states, and no writer from outside races the one that owns a changelog. Who sends it reads the
changelogs first (`data.erasure`), and names one state with each record.

- Each record has one answer, on `erasure-events`. The same record again changes nothing: `absent`.
- A state that is the subject's own ends, with tombstones of what was compacted from it. Of another subject's state what
  names the subject goes; where nothing else is left, the state ends as well.
- A state that cannot be read is ended all the same.
- Agents that read no commands read the topic `erasures`, on which moves of states lie as well (`rekeying`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from endocrine.agents._shared.moving import opened, with_adopted
from endocrine.agents._shared.subjects import finer
from endocrine.agents.analytics import erasure as analytics
from endocrine.agents.conflicts import erasure as conflicts
from endocrine.agents.contract import Agent, Output, State, Trigger
from endocrine.agents.meeting import erasure as meeting
from endocrine.agents.memory import erasure as memory
from endocrine.agents.names import erasure as names
from endocrine.agents.reflection import rekey as reflection
from endocrine.agents.rekeying import ERASURES, MOVERS, MOVES, MovableAgent
from endocrine.schemas.commands import Erase

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

EVENTS = "erasure-events"
EVERY = "all"
"""In place of an agent: all answer, and none erases anything. Each makes a batch of it, which is what it is for."""
_Reduced = tuple[State, list[Output]]


class Eraser(NamedTuple):
    """How the states of one agent are erased."""

    holds: bool = True
    """Whether any state is a subject's. One of tools' figures names nobody; its outboxes do, and it makes batches."""
    finer: int = 0
    """Names in a state key after the subject, each after a slash and without one."""
    reduce: Callable[[State, Trigger, "Policy"], _Reduced] | None = None
    """(a state that is not the subject's own, the command, policy) -> what stays of it, and the outputs. The same
    object: it does not name the subject. None: the agent keeps no state that names another subject than its key."""
    again: Callable[[State, Trigger, "Policy"], list[Output]] | None = None
    """(the state of the agent's own key, the command, policy) -> outputs of each command to `EVERY`: new last records
    of compacted keys that are nobody's, as the header of the last one names whoever caused it."""


def _known(state: State, trigger: Trigger, policy: "Policy") -> _Reduced:
    command: Erase = trigger.value
    if not {*state["active"], *state["queue"]} & {*command.memory_ids}:
        return state, []
    return reflection.without(state, command.memory_ids), []


ERASERS: Mapping[str, Eraser] = {
    "modulation": Eraser(),
    "gating": Eraser(),
    "feedback": Eraser(),
    "attribution": Eraser(finer=1),
    "suspicion": Eraser(),
    "bonds": Eraser(),
    "analytics": Eraser(holds=False, again=analytics.again),
    "conversation": Eraser(),
    "audit": Eraser(),
    "trust": Eraser(finer=2),
    "capture": Eraser(),
    "reflection": Eraser(reduce=_known),
    "memory": Eraser(finer=1, reduce=memory.reduced),
    "conflicts": Eraser(finer=1, reduce=conflicts.reduced),
    "registry": Eraser(reduce=names.ended),
    "evidence": Eraser(),
    "meeting": Eraser(reduce=meeting.reduced),
    "linkage": Eraser(),
}
"""By agent."""
_ANY_CHARACTER = {"registry": "", "linkage": '["'}
"""Agents whose keys have names of others after the subject, which may hold slashes, and how those names begin."""


@dataclass(frozen=True)
class ErasableAgent:
    """An agent, and the command that erases its states. Everything else is the agent's own."""

    agent: Agent
    eraser: Eraser
    name: str = field(init=False)
    sources: tuple[str, ...] = field(init=False)
    targets: tuple[str, ...] = field(init=False)
    moves: bool = field(init=False)
    """Whether states of this agent are moved; others pass the commands over that move some."""

    def __post_init__(self) -> None:
        """Take what the runtime asks for from the agent."""
        object.__setattr__(self, "moves", isinstance(self.agent, MovableAgent))
        more = () if "commands" in self.agent.sources else (ERASURES,)
        object.__setattr__(self, "name", self.agent.name)
        object.__setattr__(self, "sources", (*self.agent.sources, *more))
        object.__setattr__(self, "targets", (*self.agent.targets, EVENTS))

    def key(self, trigger: Trigger) -> str:
        """Return the state that is erased; of another agent's, or of another subject's, a key that never has a
        state."""
        if trigger.value.__class__ is Erase:
            if trigger.value.agent == EVERY and self.eraser.again is not None:
                return self.agent.key(trigger)
            return str(trigger.value.key) if self._is_mine(trigger) else finer(trigger.identity, "")
        if trigger.value.__class__ in MOVES and not self.moves:
            return finer(trigger.identity, "")
        return self.agent.key(trigger)

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Process a record: an erasure, which raises nothing, or what the agent itself processes."""
        if trigger.value.__class__ is not Erase:
            if trigger.value.__class__ in MOVES and not self.moves:
                return state, []
            return self.agent.process(state, trigger, policy)
        command: Erase = trigger.value
        if command.agent == EVERY:
            again = self.eraser.again
            return state, [self._answer(trigger, "passed"), *(again(state, trigger, policy) if again else ())]
        if command.agent != self.name:
            return state, []
        if not self._is_mine(trigger):
            return state, [self._answer(trigger, "refused")]
        own, adopted = opened(state)
        try:
            after, outputs, outcome = self._erased(own, trigger, policy)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            return None, [self._answer(trigger, "erased")]
        # The answer is the first output: its id does not depend on how much was erased.
        answer = self._answer(trigger, outcome)
        return (None if after is None else with_adopted(after, adopted)), [answer, *outputs]

    def _erased(self, own: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output], str]:
        command: Erase = trigger.value
        part = command.key[len(trigger.identity) + 1 :]
        if self.name == "registry" and names.is_claim(part):
            return *names.claimed(own, trigger), "unchanged" if own is not None else "claimed"
        if own is None:
            return None, [], "absent"
        if self.eraser.reduce is not None and (trigger.identity != command.of):
            after, outputs = self.eraser.reduce(own, trigger, policy)
            return after, outputs, "unchanged" if after is own else "erased" if after is None else "reduced"
        mover = MOVERS.get(self.name)
        return None, [] if mover is None else [*mover.erased(own, trigger.identity, part)], "erased"

    def _is_mine(self, trigger: Trigger) -> bool:
        """Whether the key is one of this agent's under the record's identity."""
        key, identity = trigger.value.key, trigger.identity
        if trigger.value.agent != self.name or not self.eraser.holds:
            return False
        if self.name in _ANY_CHARACTER:
            return str(key).startswith(finer(identity, _ANY_CHARACTER[self.name]))
        return cast(str, key.rsplit("/", self.eraser.finer)[0]) == identity

    def _answer(self, trigger: Trigger, outcome: str) -> Output:
        command: Erase = trigger.value
        value: dict[str, Any] = {
            "subject": trigger.identity,
            "erasure_id": command.erasure_id,
            "agent": self.name,
            "key": command.key,
            "outcome": outcome,
            "command_id": trigger.id,
            "by": command.by,
            "ts": command.ts,
        }
        return Output(EVENTS, trigger.identity, value)


def erasable(agent: Agent) -> Agent:
    """Return the agent with the command that erases its states, where it has states of subjects."""
    eraser = ERASERS.get(agent.name)
    return agent if eraser is None else ErasableAgent(agent, eraser)
