"""The states of a batch's keys: decoded while they are processed, bytes before and after."""

from collections.abc import Callable, Mapping, MutableMapping

import orjson

from endocrine.agents.contract import State
from endocrine.pipeline.core.compact_json import exact
from endocrine.pipeline.core.producer_dedup import pack, unpack

OPEN = 64
"""States decoded at once. A state takes kilobytes decoded and some hundred bytes encoded: were all of a large batch
kept decoded, they would leave the processor's cache, which costs more than to decode again a key that comes back."""


def keep(states: MutableMapping[str, bytes], changed: Mapping[str, bytes | None]) -> None:
    """Put what a batch changed into what is kept; None ends a key."""
    for key, state in changed.items():
        if state is None:
            states.pop(key, None)
        else:
            states[key] = state


class KeyState:
    """A key's state while it is processed. before, after: as bytes; `state` is decoded while it is open."""

    __slots__ = ("after", "before", "open", "recent", "state")

    state: State
    recent: list[str]

    def __init__(self, stored: bytes | None) -> None:
        self.before = self.after = stored
        self.open = False


class States:
    """States of one batch. stored: of a key before it, as bytes. recalls: recent ids are beside the state."""

    def __init__(self, stored: Callable[[str], bytes | None], *, deduplicated: bool) -> None:
        self._stored, self._deduplicated = stored, deduplicated
        self._held: dict[str, KeyState] = {}
        self._open: list[KeyState] = []

    def hold(self, name: str) -> KeyState:
        """Return the state of a key, to be processed and replaced."""
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = KeyState(self._stored(name))
        elif held.open:
            return held
        if len(self._open) == OPEN:
            self._close()
        now = held.after
        if self._deduplicated:
            held.state, held.recent = unpack(now)
        else:
            held.state, held.recent = (None if now is None else orjson.loads(now)), []
        held.open = True
        self._open.append(held)
        return held

    def changed(self) -> dict[str, bytes | None]:
        """Return the new state of each key that has another one than before, by first touch; None is a tombstone."""
        self._close()
        return {name: held.after for name, held in self._held.items() if held.after != held.before}

    def _close(self) -> None:
        """Encode what is open."""
        for held in self._open:
            if self._deduplicated:
                held.after = pack(held.state, held.recent)
            else:
                held.after = None if held.state is None else exact(held.state)
            held.state, held.recent, held.open = None, [], False
        self._open.clear()
