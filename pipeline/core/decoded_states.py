"""Decoded states that are kept between batches, so that a key that comes back is not decoded again.

What is kept of a key is its state and the bytes that the state was encoded to, and it is used only where the store
holds those very bytes: it is a memo of decoding, and cannot differ from the changelog, whatever became of the batch
that left it. It rests on two rules for agents (agents.contract): states are JSON values, so that encoding and decoding
give an equal one, and a state that was given is never changed.

A state is kept when its key comes the second time within a few thousand keys. Of keys that do not come back, decoded
states would only be in the way: they leave the processor's cache until they are dropped, and dropping them costs more
than decoding.

The bound holds for all processors of a process together: what was used least recently goes first, whosever it is.
"""

from endocrine.agents.contract import State

DECODED = 8
"""Memory of a decoded state, as a multiple of its bytes, at most; measured: 1.2 of long texts, 5 of lists of numbers,
8 of small objects in each other."""
ENTRY_BYTES = 500
"""Memory that a kept state takes beside itself: key, bytes object, entry."""
SEEN = 4096
"""Keys of a processor that count as seen, at least; twice as many at most."""
KEPT_BYTES = 64 << 20
"""Bound of a process where nothing else is set."""


class KeyState:
    """A key's state. state, recent: as they are now; `known` and `known_recent`, as they are in `packed`."""

    __slots__ = ("cost", "known", "known_recent", "packed", "recent", "state", "used")

    cost: int
    """Bytes of memory that it is counted with while it is kept."""
    used: int
    """Moment of its last use, by the budget's count; -1 where it was not kept yet."""

    def __init__(self, packed: bytes | None, state: State, recent: list[str]) -> None:
        self.packed, self.used = packed, -1
        self.state = self.known = state
        self.recent = self.known_recent = recent


class StateBudget:
    """The bound that all processors of a process share. most: bytes of memory, about."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self.most = most
        self.held = 0
        self._moment = 0
        self._members: list[DecodedStates] = []

    def member(self) -> "DecodedStates":
        """Return a place for the states of one more processor."""
        member = DecodedStates(self)
        self._members.append(member)
        return member

    def next_moment(self) -> int:
        """Return the moment of what is used now."""
        self._moment += 1
        return self._moment

    def trim(self) -> None:
        """Drop what was used least recently until the rest fits."""
        while self.held > self.most:
            firsts = [(member.first(), n) for n, member in enumerate(self._members)]
            oldest = sorted((first.used, n) for first, n in firsts if first is not None)
            until = oldest[1][0] if len(oldest) > 1 else self._moment + 1
            self._members[oldest[0][1]].drop_until(until)


class DecodedStates:
    """The kept states of one processor, by key."""

    def __init__(self, budget: StateBudget) -> None:
        self._budget = budget
        self._kept: dict[str, KeyState] = {}
        """Least recently used first."""
        self._seen: set[str] = set()
        self._seen_before: set[str] = set()
        """The generation before it: what is seen is forgotten by halves."""

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str, packed: bytes | None) -> KeyState | None:
        """Remove and return what is kept of a key, if it is the state that these bytes hold.

        packed: as the store holds it; None where it holds none.
        """
        found = self._kept.pop(key, None)
        if found is None:
            return None
        self._budget.held -= found.cost
        return found if found.packed == packed else None

    def put(self, states: "dict[str, KeyState]") -> None:
        """Keep those of these that come back, each the state that its bytes hold; finished ones are not kept."""
        budget, kept, seen, before = self._budget, self._kept, self._seen, self._seen_before
        moment, added = budget.next_moment(), 0
        for key, state in states.items():
            if state.packed is None:
                continue
            if state.used >= 0 or key in seen or key in before:
                state.used = moment
                state.cost = cost = DECODED * len(state.packed) + ENTRY_BYTES
                added += cost
                kept[key] = state
            else:
                seen.add(key)
        if len(seen) > SEEN:
            self._seen, self._seen_before = set(), seen
        budget.held += added
        if budget.held > budget.most:
            budget.trim()

    def first(self) -> KeyState | None:
        """Return the one that was used least recently."""
        return next(iter(self._kept.values()), None)

    def drop_until(self, moment: int) -> None:
        """Drop states used before this moment, least recently used first, until the budget's bound holds."""
        budget, kept = self._budget, self._kept
        while kept and budget.held > budget.most:
            key, state = next(iter(kept.items()))
            if state.used >= moment:
                return
            del kept[key]
            budget.held -= state.cost

    def clear(self) -> None:
        """Drop all of them, and what was seen."""
        self._budget.held -= sum(state.cost for state in self._kept.values())
        self._kept.clear()
        self._seen, self._seen_before = set(), set()
