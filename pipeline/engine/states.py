"""The states of a batch's keys: decoded while they are thought over, bytes before and after."""

from collections.abc import Callable, Mapping, MutableMapping

import orjson

from agents.contract import State
from pipeline.engine.exact import exact
from pipeline.engine.recall import pack, unpack

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


class Held:
    """A key's state while it is thought over."""

    __slots__ = ("recent", "state")

    def __init__(self, state: State, recent: list[str]) -> None:
        self.state, self.recent = state, recent


class States:
    """States of one batch. stored: of a key before it, as bytes. recalls: recent ids stand beside the state."""

    def __init__(self, stored: Callable[[str], bytes | None], *, recalls: bool) -> None:
        self._stored, self._recalls = stored, recalls
        self._open: dict[str, Held] = {}
        self._before: dict[str, bytes | None] = {}
        self._after: dict[str, bytes | None] = {}

    def hold(self, name: str) -> Held:
        """The state of a key, to be thought over and replaced."""
        held = self._open.get(name)
        if held is not None:
            return held
        if len(self._open) == OPEN:
            self._close()
        if name in self._before:
            now = self._after[name]
        else:
            now = self._before[name] = self._stored(name)
        state, recent = unpack(now) if self._recalls else (None if now is None else orjson.loads(now), [])
        held = self._open[name] = Held(state, recent)
        return held

    def changed(self) -> dict[str, bytes | None]:
        """The new state of each key that has another one than before, by first touch; None is a tombstone."""
        self._close()
        after = self._after
        return {name: after[name] for name, before in self._before.items() if after[name] != before}

    def _close(self) -> None:
        """Encode what is open."""
        after = self._after
        for name, held in self._open.items():
            if self._recalls:
                after[name] = pack(held.state, held.recent)
            else:
                after[name] = None if held.state is None else exact(held.state)
        self._open.clear()
