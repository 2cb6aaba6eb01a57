"""The smallest part of a batch that still ends a worker: halves, then quarters, each in a world of its own."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from shapes import Group, Hostile

Fails = Callable[[Sequence[Group]], Awaitable[bool]]


async def smallest(groups: Sequence[Group], fails: Fails, tries: int) -> list[Group]:
    """As small a part as `tries` attempts find; all of it where it does not fail again on its own."""
    flat = [(n, one) for n, group in enumerate(groups) for one in group.records]
    pieces = 2
    while len(flat) > 1 and tries > 0:
        size = max(1, len(flat) // pieces)
        for first in range(0, len(flat), size):
            tries -= 1
            # With two pieces each half; with more, everything but one piece.
            part = flat[first : first + size] if pieces == 2 else [*flat[:first], *flat[first + size :]]
            if part and await fails(_groups(groups, part)):
                flat, pieces = part, 2
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(flat))
    return _groups(groups, flat)


def _groups(groups: Sequence[Group], flat: Sequence[tuple[int, Hostile]]) -> list[Group]:
    kept: dict[int, list[Hostile]] = {}
    for n, one in flat:
        kept.setdefault(n, []).append(one)
    return [replace(groups[n], records=records) for n, records in kept.items()]
