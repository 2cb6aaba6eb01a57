"""High-water marks: how Read knows a copy of a derived or re-keyed record that it has already applied.

Outputs are spoken at least once, so copies lie at new offsets. Each origin partition is applied in order, Remember is
one batch and Speak keeps trigger order: so a record whose (origin offset, ordinal) is not above the highest one applied
from the same origin is a copy. Marks are bounded by topics times partitions.
"""

from collections.abc import Mapping

from pipeline.engine.wire import ORIGIN, REKEYED_FROM

Marks = dict[str, tuple[int, int]]


def mark_of(topic: str, headers: Mapping[str, bytes | None]) -> tuple[str, tuple[int, int]] | None:
    """Which mark a record is held against, and its height; None for an original one.

    An origin that cannot be read is a foreign header: the record counts as an original.

    >>> mark_of("modulations", {"endocrine-origin": b"modulation/interactions/3/17/0"})
    ('modulations<modulation/interactions/3', (17, 0))
    """
    moved = headers.get(REKEYED_FROM)
    try:
        if moved is not None:
            origin, offset = moved.decode().rsplit("/", 1)
            return f"{topic}<re-keyed/{origin}", (int(offset), 0)
        derived = headers.get(ORIGIN)
        if derived is None:
            return None
        origin, offset, ordinal = derived.decode().rsplit("/", 2)
        return f"{topic}<{origin}", (int(offset), int(ordinal))
    except ValueError:
        return None
