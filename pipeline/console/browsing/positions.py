"""Places of a topic as text of an address: the next offset of each partition."""

import re
from collections.abc import Mapping

Positions = Mapping[int, int]
"""Partition and offset."""
LONGEST = 4000
"""Characters: more than a hundred partitions."""
_FORM = re.compile(r"[0-9]{1,6}-[0-9]{1,18}(\.[0-9]{1,6}-[0-9]{1,18})*")


def positions_text(positions: Positions) -> str:
    """Return the positions as text.

    >>> positions_text({1: 98, 0: 120})
    '0-120.1-98'
    """
    return ".".join(f"{partition}-{offset}" for partition, offset in sorted(positions.items()))


def positions_of(text: str) -> dict[int, int]:
    """Return the positions that a text names. Raises ValueError.

    >>> positions_of("0-120.1-98")
    {0: 120, 1: 98}
    """
    if len(text) > LONGEST or not _FORM.fullmatch(text):
        raise ValueError("expected partition-offset pairs, as links of this page hold them")
    pairs = [part.partition("-") for part in text.split(".")]
    return {int(partition): int(offset) for partition, _, offset in pairs}
