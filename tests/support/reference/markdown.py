"""Tables and generated parts of Markdown pages. Pure."""

import re
from collections.abc import Iterable, Sequence

GENERATED = "<!-- Generated from code by `make docs`. Do not edit. -->"
_BEGIN, _END = "<!-- generated: {} -->", "<!-- end of generated: {} -->"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, line by line. Bars in cells are escaped; line breaks become spaces."""
    lines = [_row(names), _row(["---"] * len(names))]
    return lines + [_row([_cell(text) for text in row]) for row in rows]


def _row(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading.

    >>> anchor("`tool-calls`"), anchor("Records of a turn")
    ('tool-calls', 'records-of-a-turn')
    """
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def replace_part(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with the lines of its generated part `name` exchanged. Raises ValueError where it has no such part."""
    begin, end = _BEGIN.format(name), _END.format(name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no part {name!r}; expected the lines {begin} and {end}")
    return before + "\n".join([begin, *lines, end]) + after
