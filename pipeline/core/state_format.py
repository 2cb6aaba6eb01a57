"""The state of a key as bytes: JSON, with the ids that are recalled beside it, and the version of the agent's state.

Version 1 is bare JSON. A later one is a zero byte, which begins no JSON, the version in one byte, and JSON. An agent
whose states change their shape declares `state_version`, and `upgrade_state` for those of the version before: they are
brought up when they are read, and written in the new shape when they change.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from endocrine.agents.contract import State
from endocrine.pipeline.core.catalogue import CATALOGUE, Topic
from endocrine.pipeline.core.compact_json import exact
from endocrine.pipeline.core.formats import STATE, refusal
from endocrine.pipeline.core.producer_dedup import pack, unpack

MARK = 0
"""First byte of a state of a later version than 1."""
LAST = 255
"""Versions fit into a byte."""


class StateFormat(NamedTuple):
    """How the states of one agent are encoded.

    deduplicated: recent ids are beside the state. upgrade: the agent's, for states of the version before.
    """

    deduplicated: bool
    version: int = 1
    upgrade: Callable[[State], State] | None = None

    def encode(self, state: State, recent: list[str]) -> bytes | None:
        """Return the state as stored; None (a tombstone) for a finished key."""
        packed = pack(state, recent) if self.deduplicated else None if state is None else exact(state)
        return packed if packed is None or self.version == 1 else b"%c%c%b" % (MARK, self.version, packed)

    def decode(self, name: str, stored: bytes) -> tuple[State, list[str]]:
        """Return state and recent ids. name: of the key. Raises UnknownFormat, which does not name the key: it may be a
        person's name."""
        version, content = 1, stored
        if stored[:1] == b"\0":
            version, content = stored[1], stored[2:]
        if version == self.version:
            return self._plain(content)
        if version == self.version - 1 and self.upgrade is not None:
            state, recent = self._plain(content)
            return (None if state is None else self.upgrade(state)), recent
        reads = (self.version,) if self.upgrade is None else (self.version - 1, self.version)
        raise refusal(STATE._replace(reads=reads), version, f"s + {len(name)} characters")

    def _plain(self, content: bytes) -> tuple[State, list[str]]:
        return unpack(content) if self.deduplicated else (orjson.loads(content), [])


def state_format(agent: Any, catalogue: Mapping[str, Topic] = CATALOGUE) -> StateFormat:
    """Return how an agent's states are encoded. Raises ValueError for a version that does not fit into a byte."""
    deduplicated = any(catalogue[topic].producer_dedup for topic in agent.sources)
    version = getattr(agent, "state_version", 1)
    if not 1 <= version <= LAST:
        raise ValueError(f"{agent.name}: state_version {version}; expected 1 to {LAST}")
    return StateFormat(deduplicated, version, getattr(agent, "upgrade_state", None))
