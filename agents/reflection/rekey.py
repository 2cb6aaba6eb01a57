"""What is known of the memories of two subjects together (memory, section 2)."""

from collections.abc import Collection
from typing import cast

from endocrine.agents._shared.moving import Move
from endocrine.agents.contract import Output, State
from endocrine.agents.reflection.known import EMPTY, ReflectionState, bounded


def merge(old: State, state: State, move: Move) -> tuple[ReflectionState, list[Output]]:
    """Return the memories of both, those of the old subject as the older ones, within the bounds. No output."""
    moved = cast(ReflectionState, {**EMPTY, **old})
    known = cast(ReflectionState, EMPTY if state is None else state)
    after: ReflectionState = {
        "active": {**moved["active"], **known["active"]},
        "beyond": moved["beyond"] + known["beyond"],
        "queue": {**moved["queue"], **known["queue"]},
        "queued_beyond": moved["queued_beyond"] + known["queued_beyond"],
        "settled": {**moved["settled"], **known["settled"]},
        "forgotten": bool(moved["forgotten"] or known["forgotten"]),
    }
    return bounded(after, move.policy.document.memory), []


def without(state: ReflectionState, memory_ids: Collection[str]) -> ReflectionState:
    """Return the state without some memories: those that are moved as superseded."""
    return {
        **state,
        "active": {name: row for name, row in state["active"].items() if name not in memory_ids},
        "queue": {name: digest for name, digest in state["queue"].items() if name not in memory_ids},
    }
