"""What an agent is: a pure function of (state, record, policy).

The runtime, `simulate` and replay all call agents through these few names and nothing else.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

State = Any
"""An agent's state under one key: JSON values only (dict, list, str, int, float, bool, None inside).

`None` as the whole state means that there is no state: a new key, or a finished one (its tombstone is written).
"""


class Trigger(NamedTuple):
    """One validated record, as an agent sees it."""

    topic: str
    """Topic without prefix."""
    id: str
    """The record's id: copies share it, and what it causes is named after it."""
    identity: str
    """Canonical identity, the record's key."""
    value: Any
    """An instance of the topic's model in `schemas` (observations: the dict itself)."""
    appended: float | None = None
    """When the broker took the record, seconds since 1970 UTC (LogAppendTime, so replay sees the same); None where no
    broker did (`simulate` without `timestamp`). What a producer claims in `ts` is held against it (rules 10)."""
    sealed: bool = False
    """Whether a worker or connector of ours wrote it (architecture, section 5d). Always so on topics that only we
    write; on the others, what resumes a turn must look."""


class Erased(dict[str, Any]):
    """In place of an output's value: the compacted record with these fields in its key is to be erased. What is written
    has no value, a tombstone."""


class Output(NamedTuple):
    """One derived record. Its id is `agent/trigger id/ordinal`, ordinal being its place in the list returned."""

    topic: str
    """Topic without prefix."""
    identity: str
    """Whose life this belongs to: it lies on this identity's partition."""
    value: Mapping[str, Any]
    """JSON object, fields in the order of its model; `Erased` for a tombstone."""


class Reject(Exception):
    """This record cannot be applied to this state: dead-letter it and go on; the state stays as it was.

    kind: short machine-readable name, such as `conflicting_turn`. The message says what is wrong, where, and what was
    expected, for a person.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Agent(Protocol):
    """One agent. `process` must not change the state it was given: it returns a new one.

    An agent whose states have changed their shape has two members more: `state_version` (an int; without it 1), and
    `upgrade_state(state) -> state` for states of the version before.
    """

    @property
    def name(self) -> str:
        """Short lower-case name without slashes; part of ids, so never renamed."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Topics it reads, without prefix; at equal append time the earlier-named topic is read first."""
        ...

    @property
    def targets(self) -> tuple[str, ...]:
        """Topics it writes, without prefix."""
        ...

    def key(self, trigger: Trigger) -> str:
        """Return the state key of a record: the identity, or finer. Coarser only where nothing is decided from it
        (analytics): such a state holds what lies on one partition."""
        ...

    def process(self, state: State, trigger: Trigger, policy: "Policy") -> tuple[State, list[Output]]:
        """Return the new state and the outputs, in order. May raise Reject."""
        ...


def output_id(agent: str, trigger: Trigger, ordinal: int) -> str:
    """Return the id of an output, for records that carry it in their value too (an incident names itself).

    >>> output_id("gating", Trigger("tool-calls", "c1", "ann", None), 1)
    'gating/c1/1'
    """
    return f"{agent}/{trigger.id}/{ordinal}"
