"""Watermarks: how Read knows a copy of a derived or re-keyed record that it has already applied.

Outputs are produced at least once, so copies lie at new offsets. Each origin partition is applied in order, Checkpoint
is one batch and Produce keeps trigger order: so a record whose (origin offset, ordinal) is not above the highest one
applied from the same origin is a copy. Watermarks are bounded by topics times partitions.
"""

import re
from collections.abc import Mapping

from endocrine.pipeline.core.records import ORIGIN, REKEYED_FROM

Watermarks = dict[str, tuple[int, int]]
_OFFSETS = 1 << 63
_ORIGIN = re.compile(rb"([a-z0-9._-]{1,64}/[a-z0-9._-]{1,64}/[0-9]{1,9})/([0-9]{1,19})/([0-9]{1,9})")
"""agent/topic/partition, offset, ordinal."""
_MOVED = re.compile(rb"([a-z0-9._-]{1,64}/[0-9]{1,9})/([0-9]{1,19})")
"""topic/partition, offset."""


def origin_of(headers: Mapping[str, bytes | None]) -> tuple[str, int, int] | None:
    """Return topic, partition and offset of the record that made an agent write a sealed one; None where it names none.

    >>> origin_of({"endocrine-origin": b"gating/tool-calls/3/17/0"})
    ('tool-calls', 3, 17)
    """
    found = _ORIGIN.fullmatch(headers.get(ORIGIN) or b"")
    if found is None or int(found[2]) >= _OFFSETS:
        return None
    _, topic, partition = found[1].decode().split("/")
    return topic, int(partition), int(found[2])


def watermark_of(topic: str, headers: Mapping[str, bytes | None]) -> tuple[str, tuple[int, int]] | None:
    """Return the watermark that a record is compared with, and its height; None for one that has no origin.

    Ask it of sealed records only: anybody else's headers say nothing. Offsets lie below 2**63, as Kafka's do.

    >>> watermark_of("modulations", {"endocrine-origin": b"modulation/interactions/3/17/0"})
    ('modulations<modulation/interactions/3', (17, 0))
    """
    moved = headers.get(REKEYED_FROM)
    found = _MOVED.fullmatch(moved) if moved is not None else _ORIGIN.fullmatch(headers.get(ORIGIN) or b"")
    if found is None or int(found[2]) >= _OFFSETS:
        return None
    if moved is not None:
        return f"{topic}<re-keyed/{found[1].decode()}", (int(found[2]), 0)
    return f"{topic}<{found[1].decode()}", (int(found[2]), int(found[3]))
