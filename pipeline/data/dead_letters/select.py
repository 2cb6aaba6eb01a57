"""Which dead letters are meant."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from endocrine.pipeline.core.dead_letter_topics import dead_letters_of, source_of
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.data.dead_letters.letters import TOPICS, Letter

Counts = list[tuple[str, str, int]]


@dataclass(frozen=True)
class Filter:
    """All that is given must hold. Times are the reader's business (endocrine.pipeline.kafka.topic_reader)."""

    topic: str | None = None
    kind: str | None = None
    identity: str | None = None
    id: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Return whether the letter is meant."""
        return (
            self.kind in (None, letter.kind)
            and self.identity in (None, letter.identity)
            and self.id in (None, letter.id)
            and self.topic in (None, letter.topic)
        )


def topic_name(text: str, prefix: str = "") -> str:
    """Return the topic of dead letters that a person names, with or without `.dlq` and prefix. Raises ValueError."""
    name = dead_letters_of(source_of(text.removeprefix(prefix)))
    if name not in TOPICS:
        raise ValueError(f"no dead letters of {text!r}; expected one of {', '.join(source_of(t) for t in TOPICS)}")
    return name


def parse_place(text: str, prefix: str = "") -> tuple[str, int, int]:
    """Return topic of dead letters, partition, offset. prefix: of topics, may be left out. Raises ValueError with a
    sentence.

    >>> parse_place("signals/0/17")
    ('signals.dlq', 0, 17)
    """
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts[1:]):
        raise ValueError(
            f"{text!r} names no dead letter; expected TOPIC/PARTITION/OFFSET as `endocrine dlq list` shows"
        )
    return topic_name(parts[0], prefix), int(parts[1]), int(parts[2])


def counts(letters: Iterable[Letter]) -> Counts:
    """Return (topic, kind, count), most first."""
    found = Counter((letter.topic, letter.kind) for letter in letters)
    return [
        (topic, kind, count) for (topic, kind), count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def row(letter: Letter) -> dict[str, object]:
    """Return a letter in a list: lengths, never values."""
    return {
        "place": letter.place,
        "time": show_time(letter.timestamp / 1000),
        "kind": letter.kind,
        "identity": letter.identity,
        "id": letter.id,
        "bytes": letter.length,
        "status": letter.status,
        "by": letter.actions[-1].by if letter.actions else None,
        "copies": letter.copies,
    }
