"""Text for a terminal: cut and filled to an exact width, nothing in it that moves the cursor. Pure."""

from typing import Any

from rich.cells import cell_len, set_cell_size


def clean(value: Any) -> str:
    """Return printable text of anything that came from a topic: control characters become a dot.

    >>> clean("a\\nb")
    'a·b'
    """
    return "".join(letter if letter.isprintable() else "·" for letter in str(value))


def fit(value: Any, width: int, *, right: bool = False) -> str:
    """Return exactly `width` cells: filled with blanks, or cut and marked so.

    >>> fit("retrieve_knowledge", 9), fit(0.5, 5, right=True)
    ('retrieve…', '  0.5')
    """
    text = clean(value)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def wrapped(value: Any, width: int, most: int) -> list[str]:
    """Return lines of at most `width` cells, broken between words; after `most` lines the last one ends in a mark.

    >>> wrapped("lock, ambiguity 0.4", 12, 3), wrapped("a long sentence", 6, 2), wrapped("", 5, 2)
    (['lock,', 'ambiguity', '0.4'], ['a long', 'sente…'], [])
    """
    lines: list[str] = []
    for word in clean(value).split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [fit(line, width).rstrip() if cell_len(line) > width else line for line in lines]


def number(value: float, places: int = 2) -> str:
    """Return a number in few characters: no zeros at its end.

    >>> number(0.70), number(900), number(0.0752)
    ('0.7', '900', '0.08')
    """
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """Return a difference with its sign.

    >>> signed(0.05), signed(0.0), signed(-0.1)
    ('+0.05', '0', '-0.10')
    """
    return f"{value:+.2f}" if round(value, 2) else "0"
