"""What agents have in common where the state of one subject becomes another's (memory, section 2)."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from endocrine.agents.contract import Output, State, Trigger

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

MARK = "$rekeyed"
"""Field of a state that adopted others: what it adopted. Beside it, in `state`, is the agent's own state."""
ADOPTIONS_KEPT = 16
"""Marks of adoptions that a state keeps, the latest."""


class Conflict(Exception):
    """The two states cannot be one: an operator must decide. reason: one word for the report."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Move(NamedTuple):
    """One state that is moved."""

    old: str
    """The subject that it was written under."""
    trigger: Trigger
    """The command; its identity is the subject that adopts."""
    policy: "Policy"

    @property
    def subject(self) -> str:
        """The subject that adopts."""
        return self.trigger.identity


Merge = Callable[[State, State, Move], tuple[State, list[Output]]]
"""(old state, state of the adopting subject or None, move) -> the state after it, and the outputs. Pure: changes
neither argument. Raises Conflict; KeyError, TypeError or ValueError where the old one is no state of the agent."""


class Mover(NamedTuple):
    """How the states of one agent are moved."""

    merge: Merge | None
    """None: nothing moves."""
    erased: Callable[[State, str, str], Iterable[Output]]
    """(state, its subject, what its key has after the subject and a slash) -> tombstones of the compacted records that
    were derived from it."""
    open_turns: str | None = None
    """Field of the open turns. While there are any, the state is not retired."""


def state_digest(state: State) -> str:
    """Return the digest of a state: SHA-256 of its JSON with sorted names, in hexadecimal. The same for equal ones.

    >>> state_digest({"a": 1, "b": 2.0})[:8] == state_digest({"b": 2.0, "a": 1})[:8]
    True
    """
    return hashlib.sha256(json.dumps(state, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def opened(state: State) -> tuple[State, list[str]]:
    """Return an agent's own state, and what was adopted into it.

    >>> opened({"$rekeyed": ["x"], "state": [1]}), opened([1])
    (([1], ['x']), ([1], []))
    """
    if isinstance(state, dict) and MARK in state:
        return state["state"], state[MARK]
    return state, []


def with_adopted(state: State, adopted: list[str]) -> State:
    """Return the state as it is stored. It is stored also where the agent's own state is empty, so that the same
    adoption never counts twice."""
    return {MARK: adopted[-ADOPTIONS_KEPT:], "state": state} if adopted else state


def adoption_mark(rekey_id: str, digest_old: str) -> str:
    """Return the mark of an adoption: the start of the re-key's id and of the digest of the state that it moved. State
    written under the old name later has another digest, so that moving it is another adoption."""
    return f"{rekey_id[:16]}{digest_old[:16]}"


def none_erased(state: State, subject: str, part: str) -> Iterable[Output]:
    """Return no tombstone: nothing compacted is derived from the state."""
    return ()


def merged_rows(old: list[Any], new: list[Any], at: int) -> list[Any]:
    """Return the rows of two lists by their field `at`, equal ones old first."""
    return sorted([*old, *new], key=lambda row: row[at])
