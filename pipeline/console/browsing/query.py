"""What of a topic is wanted, from the parameters of an address."""

from dataclasses import dataclass

from endocrine.pipeline.console.browsing.positions import Positions, positions_of
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import time_of

LONGEST_EXPRESSION = 500
FILTERS = ("partition", "offset", "since", "key", "contains", "field", "equals", "where")
"""Parameters that say what is shown; the others say which page of it."""


@dataclass(frozen=True)
class Browse:
    """What to read, where to begin, what to keep. partition: None for all. since: append time, seconds since 1970."""

    topic: str
    partition: int | None = None
    offset: int | None = None
    """Where to begin, in one partition."""
    since: float | None = None
    after: Positions | None = None
    """Read on from these offsets; of the page before."""
    before: Positions | None = None
    """Read back from these offsets (exclusive); of the page after."""
    key: str | None = None
    contains: str | None = None
    """Text in the bytes of the value."""
    field: str | None = None
    """Path of a field, its parts parted by dots."""
    equals: str | None = None
    """What the field is, as text; None: it is there."""
    where: str | None = None
    """An expression in CEL that is true of the record."""

    @property
    def begins(self) -> bool:
        """Whether there is a place or a time to begin at; else the newest records are wanted."""
        return self.offset is not None or self.since is not None

    @property
    def backward(self) -> bool:
        """Whether to read back from an end rather than on from a beginning."""
        return self.before is not None or (self.after is None and not self.begins)

    @property
    def filtered(self) -> bool:
        """Whether some records are left out."""
        return any(one is not None for one in (self.key, self.contains, self.field, self.where))


def browse_of(topic: str, query: dict[str, str]) -> Browse:
    """Return what the parameters ask for; empty ones count as left out. Raises Problem, 422."""
    given = {name: text for name, text in query.items() if text}
    partition, offset = _number(given, "partition"), _number(given, "offset")
    if offset is not None and partition is None:
        raise Problem("invalid", "offset: expected a partition with it", field="offset")
    if "equals" in given and "field" not in given:
        raise Problem("invalid", "equals: expected the name of a field with it", field="field")
    where = given.get("where")
    if where is not None and len(where) > LONGEST_EXPRESSION:
        raise Problem("invalid", f"where: {len(where)} characters; expected at most {LONGEST_EXPRESSION}",
                      field="where")  # fmt: skip
    return Browse(topic, partition, offset, time_of(given, "since"), _positions(given, "after"),
                  _positions(given, "before"), given.get("key"), given.get("contains"), given.get("field"),
                  given.get("equals"), where)  # fmt: skip


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Problem("invalid", f"query {name}: expected a whole number", field=name)
    return int(text)


def _positions(query: dict[str, str], name: str) -> Positions | None:
    try:
        return positions_of(query[name]) if name in query else None
    except ValueError as error:
        raise Problem("invalid", f"query {name}: {error}", field=name) from None
