"""How large a record may be, in one place: what is read, what is written, and what a topic takes.

Every path that writes (dead letters, outputs, effects) asks here. Sizes of records are upper bounds of what Kafka's
record format v2 takes, alone in a batch and uncompressed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters

KIB, MIB = 1 << 10, 1 << 20
BATCH_BYTES = 61
"""The header of a record batch."""
RECORD_BYTES = 32
"""Lengths, attributes, and the two deltas of a record, at their longest."""
HEADER_BYTES = 10
"""The two lengths of a header, at their longest."""
DEAD_LETTER_ROOM = 64 * KIB
"""What a dead letter may have beyond the largest record of its topic: the headers that say why it is one."""
EXCERPT_BYTES = 64 * KIB
"""What is kept of a value, of a key, and of headers that do not fit."""
OUTPUT_HEADERS = 8 * KIB
"""Room for the key and headers of an output: ids, the identity and a trace, each at most 1 KiB."""


class Sizes(NamedTuple):
    """Bounds in bytes, settings of a deployment."""

    value: int = MIB
    """A longer value of a source topic is a dead letter, unread (`max_record_bytes`)."""
    headers: int = 64 * KIB
    """A record of others whose headers are longer together is a dead letter (`max_header_bytes`)."""
    topic: int = 4 * MIB
    """The largest record batch that a topic takes (`topic_message_bytes`)."""

    def room(self, topic: str) -> int:
        """Return the largest record that a topic takes, alone in its batch. topic: without prefix.

        >>> Sizes().room("signals.dlq") - Sizes().room("signals")
        65536
        """
        return self.topic + (DEAD_LETTER_ROOM if holds_dead_letters(topic) else 0)


def headers_bytes(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Return bytes of names and contents together, lengths included."""
    return sum(
        HEADER_BYTES + len(name.encode("utf-8", "surrogatepass")) + len(content or b"") for name, content in headers
    )


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Return bytes of a record alone in its batch, at most."""
    return BATCH_BYTES + RECORD_BYTES + len(key or b"") + len(value or b"") + headers_bytes(headers)
