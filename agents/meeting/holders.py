"""Who holds a token, and which pairs were hinted: the bounded state of the meeting agent, and what is read from it."""

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from endocrine.agents.canonical import canonical_json

if TYPE_CHECKING:
    from endocrine.agents.linkage.rules import LinkageRules

DAY_S = 86_400.0


class Row(NamedTuple):
    """One identity showed one value, last at `ts` (event time, seconds)."""

    identity: str
    value: str
    """Of a keystroke, 16 hexadecimal digits; empty where the token itself says it."""
    ts: float
    observation_id: str


class Pair(NamedTuple):
    """What a pair was last hinted with, of a and b in their order."""

    distance: int
    value_digest: str
    seen: tuple[float, float]
    observations: tuple[str, str]
    ts: float
    common: bool

    def plain(self) -> list[Any]:
        """Return the pair as JSON values, for the state."""
        return [self.distance, self.value_digest, list(self.seen), list(self.observations), self.ts, self.common]


class MeetingState(TypedDict):
    """The state of a token, as JSON values."""

    clock: float
    """The latest event time, seconds."""
    rows: list[list[Any]]
    """`Row`s, the oldest first."""
    pairs: dict[str, list[Any]]
    """Canonical JSON of [a, b] -> `Pair`."""
    capped: float | None
    """Clock when a row last fell out for want of room."""


def pair_key(one: str, other: str) -> str:
    """Return the key of a pair, the same for both orders of the two.

    >>> pair_key("bob", "ann")
    '["ann","bob"]'
    """
    return canonical_json(sorted((one, other))).decode()


def rows_of(state: MeetingState | None, since: float) -> list[Row]:
    """Return the rows from `since` on, seconds."""
    if state is None:
        return []
    return [row for row in (Row(*stored) for stored in state["rows"]) if row.ts >= since]


def pairs_of(state: MeetingState | None, since: float) -> dict[str, Pair]:
    """Return the pairs that were hinted from `since` on, seconds."""
    if state is None:
        return {}
    found = {}
    for key, (distance, digest, seen, observations, ts, common) in state["pairs"].items():
        if ts >= since:
            found[key] = Pair(distance, digest, (seen[0], seen[1]), (observations[0], observations[1]), ts, common)
    return found


def with_row(rows: list[Row], row: Row, rules: "LinkageRules") -> tuple[list[Row], bool]:
    """Return the rows with one more, within their bounds, and whether one fell out. The oldest go first."""
    others = [known for known in rows if (known.identity, known.value) != (row.identity, row.value)]
    kept = sorted([*others, row], key=lambda known: (known.ts, known.identity, known.value))
    mine = [known for known in kept if known.identity == row.identity]
    if len(mine) > rules.holder_values:
        kept.remove(mine[0])
        return kept[-rules.holders :], True
    return kept[-rules.holders :], len(kept) > rules.holders


class Crowd:
    """Who is near whom among the rows of a token."""

    def __init__(self, rows: list[Row], below: int) -> None:
        """below: differing bits must be fewer."""
        self._below = below
        self._rows = [(int(row.value, 16) if row.value else 0, row) for row in rows]
        self.holders = len({row.identity for row in rows})
        """Identities in all."""
        self._crowded: dict[str, bool] = {}

    def near(self, row: Row) -> dict[str, tuple[int, Row]]:
        """Return the other identities that hold a value near this one, by name: the distance, and their nearest row,
        the latest of equally near ones."""
        found: dict[str, tuple[int, Row]] = {}
        own = int(row.value, 16) if row.value else 0
        for value, other in self._rows:  # the oldest first
            bits = (own ^ value).bit_count()
            if bits < self._below and other.identity != row.identity:
                known = found.get(other.identity)
                if known is None or bits <= known[0]:
                    found[other.identity] = (bits, other)
        return dict(sorted(found.items()))

    def is_crowded(self, identity: str, above: int) -> bool:
        """Return whether more identities than `above` lie near one of this identity's values, itself included."""
        if self.holders <= above:
            return False
        if identity not in self._crowded:
            self._crowded[identity] = self._count(identity, above) > above
        return self._crowded[identity]

    def _count(self, identity: str, above: int) -> int:
        """As far as needed."""
        near, below = {identity}, self._below
        for own, row in self._rows:
            if row.identity != identity:
                continue
            for value, other in self._rows:
                if (own ^ value).bit_count() < below:
                    near.add(other.identity)
                    if len(near) > above:
                        return len(near)
        return len(near)
