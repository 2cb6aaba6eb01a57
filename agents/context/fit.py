"""Whole lines within a number of characters. Pure."""

from collections.abc import Sequence

CUT = "..."
"""Last line of a block that was cut."""


def fit(header: str, lines: Sequence[str], room: int) -> tuple[str, int]:
    r"""Return a block and how many of its lines it has: all of them where they fit, else the first and a line `...`.

    Characters of the header and of line ends count. Where not one line fits, the block is empty.

    >>> fit("- H -", ["one", "two"], 13), fit("- H -", ["one", "two"], 12)
    (('- H -\none\ntwo', 2), ('', 0))
    """
    if not lines:
        return "", 0
    used, count = len(header), 0
    least = 1 + len(CUT)
    for line in lines:
        used += 1 + len(line)
        if used + (0 if count + 1 == len(lines) else least) > room:
            used -= 1 + len(line)
            break
        count += 1
    if not count:
        return "", 0
    return "\n".join([header, *lines[:count], *([] if count == len(lines) else [CUT])]), count
