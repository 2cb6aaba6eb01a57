"""The states of a batch's keys: decoded while they are processed, bytes before and after."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping

from endocrine.pipeline.core.decoded_states import DecodedStates, KeyState
from endocrine.pipeline.core.state_format import StateFormat

OPEN_BYTES = 256 << 10
"""Bytes of states decoded at once, as they were before. An open state is encoded once, however often its key comes
back, but decoded it takes a multiple of its bytes: were all of a large batch of large states kept open, they would fill
the memory."""
LEAST_BYTES = 64
"""What a new key counts with."""
FRESH = 32
"""Open states that were not encoded yet, where keys hardly come back: of more of them the first would be out of the
processor's cache by the time they are."""
AGAIN = 10
"""Keys come back when more than one of so many records was of a key that was open."""


def keep(states: MutableMapping[str, bytes], changed: Mapping[str, bytes | None]) -> None:
    """Put what a batch changed into what is kept; None ends a key."""
    for key, state in changed.items():
        if state is None:
            states.pop(key, None)
        else:
            states[key] = state


class States:
    """States of one batch.

    stored: of a key before it, as bytes. form: how they are encoded. kept: decoded states of earlier batches, which go
    on to the next ones; without it, each batch decodes for itself.
    """

    def __init__(
        self, stored: Callable[[str], bytes | None], form: StateFormat, kept: DecodedStates | None = None
    ) -> None:
        self._stored, self._form, self._kept = stored, form, kept
        self._before: dict[str, bytes | None] = {}
        """Of each key of the batch, by first touch."""
        self._after: dict[str, bytes | None] = {}
        """Of each key that was open and is not any more."""
        self.open: dict[str, KeyState] = {}
        """What may be processed now: look here first, then `hold` it."""
        self._open_bytes = 0
        self._fresh: list[KeyState] = []
        """Opened since the last were encoded."""

    def hold(self, name: str, records: int) -> KeyState:
        """Open the state of a key that is not open. records: how many were processed before, of any key."""
        if self._open_bytes > OPEN_BYTES:
            self._close()
        elif len(self._fresh) >= FRESH and (records - len(self._before)) * AGAIN <= records:
            self._encode()
        if name in self._after:
            packed = self._after[name]
        else:
            packed = self._before[name] = self._stored(name)
        self._open_bytes += LEAST_BYTES if packed is None else len(packed)
        held = self.open[name] = self._decoded(name, packed)
        self._fresh.append(held)
        return held

    def changed(self) -> dict[str, bytes | None]:
        """Return the new state of each key that has another one than before, by first touch; None is a tombstone."""
        self._close()
        after = self._after
        return {name: now for name, before in self._before.items() if (now := after[name]) != before}

    def _decoded(self, name: str, packed: bytes | None) -> KeyState:
        found = None if self._kept is None else self._kept.take(name, packed)
        if found is not None:
            return found
        if packed is None:
            return KeyState(None, None, [])
        return KeyState(packed, *self._form.decode(name, packed))

    def _encode(self, opened: Iterable[KeyState] | None = None) -> None:
        """Encode those of these that have changed; without any, what was opened since the last were."""
        encode = self._form.encode
        for held in self._fresh if opened is None else opened:
            state = held.state
            if state is not held.known or held.recent is not held.known_recent:
                held.packed = encode(state, held.recent)
                held.known, held.known_recent = state, held.recent
        self._fresh.clear()

    def _close(self) -> None:
        """Encode what is open, and keep it decoded for whoever comes next."""
        opened, closed = self.open, self._after
        self._encode(opened.values())
        for name, held in opened.items():
            closed[name] = held.packed
        if self._kept is not None:
            self._kept.put(opened)
        opened.clear()
        self._open_bytes = 0
