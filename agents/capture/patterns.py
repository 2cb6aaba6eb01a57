"""Counting cues in a prompt: one regular expression per list, compiled once, linear in the length of the text."""

import re
from collections.abc import Callable, Iterable

CueCounter = Callable[[str], int]

_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_TYPOGRAPHIC = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})


def plain_words(prompt: str, limit: int) -> str:
    """Return the part of a prompt that is looked at: its first `limit` characters, fenced code left out.

    Code is left out because its `!`, `?` and `or` say nothing about the person who pasted it.

    >>> plain_words("Why? ```a or b!``` It\u2019s odd", 100)
    "Why?   It's odd"
    """
    return _FENCED.sub(" ", prompt[:limit]).translate(_TYPOGRAPHIC)


def words_of(text: str) -> list[str]:
    """Return the words of a text, apostrophes inside kept.

    >>> words_of("Don't stop, go on_2")
    ["Don't", 'stop', 'go', 'on', '2']
    """
    return _WORD.findall(text)


def compile_words(phrases: Iterable[str]) -> CueCounter:
    """Return a counter of whole words or phrases in any case; the longer phrase wins where two start alike.

    >>> compile_words(["sort of", "sort"])("Sort   of a resort; sort it")
    2
    """
    by_length = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    bodies = (r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in by_length)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(bodies)})(?!\w)", re.IGNORECASE)
    return lambda text: sum(1 for _ in pattern.finditer(text))


def compile_marks(marks: Iterable[str]) -> CueCounter:
    """Return a counter of strings wherever they stand.

    >>> compile_marks(["!"])("Now!!")
    2
    """
    kept = tuple(marks)
    return lambda text: sum(text.count(mark) for mark in kept)


def shouted(words: Iterable[str], letters: int) -> int:
    """Return how many words have at least so many letters, all of them capitals.

    >>> shouted(["PLEASE", "use", "SQL", "UTF8"], 4)
    1
    """
    return sum(1 for word in words if len(word) >= letters and word.isalpha() and word.isupper())
