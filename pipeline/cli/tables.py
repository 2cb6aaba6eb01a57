"""Tables: aligned on a terminal, tab-separated with a header line in a pipe or a file."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from endocrine.pipeline.views.text_width import clean


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Sequence[str] = ()) -> None:
    """Print a header and the rows; None is an empty cell, a control character a dot.

    whole: columns whose cells stay on one line of a terminal, to be copied; others go on below.
    """
    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [columns, *cells]:
            print("\t".join(line))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for line in cells:
        table.add_row(*map(Text, line))  # not markup: a cell may hold brackets
    Console().print(table)
