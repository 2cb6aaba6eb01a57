"""What passes between the steps of ingest."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from endocrine.agents.capture.rules import HeuristicRules


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt and, where there was one, its response."""

    where: str
    """Place in the input, for messages: `chat.jsonl:17`."""
    source_id: str
    """What the id of the turn is made of, beside format and identity; the same for the same place in the same file."""
    session_id: str
    prompt: str
    response: str
    """Empty where nothing was answered."""
    opened_ts: float
    """Seconds since 1970 UTC, as `closed_ts`, which is never earlier."""
    closed_ts: float
    model: str | None = None
    identity: str | None = None
    """Whose turn the input says it is; None where it does not."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record ready for its topic."""

    where: str
    topic: str
    """Without prefix."""
    value: dict[str, Any]
    key: str | None = None
    """As the input gave it; None: the identity."""
    headers: dict[str, str] | None = None

    def line(self) -> dict[str, Any]:
        """Return the record as `endocrine simulate` reads it."""
        given = {"key": self.key, "headers": self.headers}
        return {"topic": self.topic, "value": self.value} | {k: v for k, v in given.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is no turn, left out for a reason that is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A part or an entry that is no text of the chat (an image, a tool's output), left out and counted."""

    what: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that could not be read: where, what is wrong, what was expected."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of a folder or an archive that holds no chat (an image, a page), counted."""

    what: str


Piece = Turn | Record | Skipped | Noted | Refused
Pieces = Iterator[Piece]


@dataclass(frozen=True, slots=True)
class Options:
    """How to read."""

    identity: str | None
    """Whose chat this is; None: the format's default."""
    rules: HeuristicRules
    start_ts: float
    """Event time of the first turn where the format has no times; seconds since 1970 UTC."""
    max_record_bytes: int
    """A larger record would be a dead letter; it is refused here already. Bytes."""
    project: str | None = None
    """The project that the turns are of."""


@dataclass(slots=True)
class Tally:
    """What became of the input."""

    turns: int = 0
    """Opened interactions that were written."""
    records: int = 0
    """Records that were written: printed, or acknowledged by the broker."""
    refused: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    """What became of the files of a folder or an archive; empty for a single file."""

    def wrote(self, topic: str, value: Mapping[str, Any]) -> None:
        """Count a record that was written."""
        self.records += 1
        self.turns += topic == "interactions" and value.get("kind") == "opened"

    def __str__(self) -> str:
        counts = [f"turns {self.turns}", f"records {self.records}", _counted("skipped", self.skipped)]
        more = [_counted("parts left out", self.noted)] if self.noted else []
        more += [_counted("files", self.files)] if self.files else []
        return "; ".join([", ".join([*counts, f"refused {self.refused}"]), *more])


def _counted(title: str, counter: Counter[str]) -> str:
    by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(counter.items()))
    return f"{title} {counter.total()}" + (f" ({by_reason})" if by_reason else "")
