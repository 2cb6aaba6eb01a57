"""The explanation in a terminal, as wide as it is."""

from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from endocrine.pipeline.views.explain.find import Explained
from endocrine.pipeline.views.explain.sections import Section, paragraphs, sections, title

FILE_WIDTH = 120
"""Columns where the output is no terminal."""


def show(explained: Explained, console: Console) -> None:
    """Print it. Its text comes from producers: it is printed as it is, never read as markup."""
    console.print(Text(title(explained), style="bold"))
    for paragraph in paragraphs(explained):
        console.print(Text(f"\n{paragraph}"))
    for section in sections(explained):
        console.print(Text(f"\n{section.title}", style="bold"))
        console.print(_table(section))


def as_text(explained: Explained, width: int = FILE_WIDTH) -> str:
    """Return the same as plain text of at most `width` columns."""
    into = StringIO()
    show(explained, Console(file=into, width=width, color_system=None))
    return "\n".join(line.rstrip() for line in into.getvalue().split("\n"))


def _table(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD if section.columns else None, show_header=bool(section.columns), pad_edge=False)
    names = section.columns or ("", "")
    for place, name in enumerate(names):
        table.add_column(Text(name), overflow="fold", no_wrap=place == 0 and len(names) > 2 and len(name) < 12)
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
