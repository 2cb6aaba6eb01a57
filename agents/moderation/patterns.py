"""Finding phrases, marks and runs in a text: no regular expression comes from configuration, so none can explode.

A phrase is words with single spaces: `tell|show me * your|the system prompt`. A slot's words are alternatives, and `*`
stands for up to `gap` words of any kind. Words are compared in one normal form: NFKC (full-width and ligature letters),
case folded, invisible format characters left out. Marks are plain substrings of the text as it is, runs a prefix and
what follows. Cost: at most (length of the text) * (slots of the phrase) * gap steps.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

GAP = "*"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'"})


class Text(NamedTuple):
    """A text, made ready once for all matchers."""

    raw: str
    words: Sequence[str]


Matcher = Callable[[Text, int], bool]
"""(text, gap) -> whether it occurs."""


def read(text: str, chars: int) -> Text:
    """The first `chars` characters of a text and their words in normal form.

    >>> read("I\u200bgnore \uff21LL rules", 100).words
    ['ignore', 'all', 'rules']
    """
    raw = text[:chars]
    plain = unicodedata.normalize("NFKC", raw).translate(_QUOTES).casefold()
    if not plain.isascii():
        plain = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    return Text(raw, _WORD.findall(plain))


def slots_of(phrase: str) -> tuple[frozenset[str] | None, ...]:
    """The slots of a phrase; None is a gap. Raises ValueError where it is not one.

    >>> slots_of("show * prompt")[1] is None
    True
    """
    slots: list[frozenset[str] | None] = []
    for part in phrase.split():
        if part == GAP:
            slots.append(None)
            continue
        words = part.casefold().split("|")
        if not all(_WORD.fullmatch(word) for word in words):
            raise ValueError(f"{part!r} in phrase {phrase!r} is no word, expected words, word|word, or a single *")
        slots.append(frozenset(words))
    if not slots or slots[0] is None or slots[-1] is None or any(a is b is None for a, b in pairwise(slots)):
        raise ValueError(f"phrase {phrase!r}: expected a word at both ends and no two * beside each other")
    return tuple(slots)


def compile_matcher(phrases: Iterable[str], marks: Iterable[str], runs: Iterable[tuple[str, int]]) -> Matcher:
    """A matcher that holds where any of them occurs. runs: prefix, and least length of what follows it."""
    parsed = [slots_of(phrase) for phrase in phrases]
    kept, wanted = tuple(marks), tuple(runs)

    def occurs(text: Text, gap: int) -> bool:
        return (
            any(mark in text.raw for mark in kept)
            or any(_has_run(text.raw, prefix, least) for prefix, least in wanted)
            or any(_has_phrase(text.words, slots, gap) for slots in parsed)
        )

    return occurs


def _has_phrase(words: Sequence[str], slots: Sequence[frozenset[str] | None], gap: int) -> bool:
    """All ways to match are followed at once, as a set of places: none is tried twice."""
    ends: set[int] | None = None
    stretch = False
    for slot in slots:
        if slot is None:
            stretch = True
            continue
        if ends is None:
            ends = {at + 1 for at, word in enumerate(words) if word in slot}
        else:
            reach = gap + 1 if stretch else 1
            ends = {at + 1 for end in ends for at in range(end, min(end + reach, len(words))) if words[at] in slot}
        stretch = False
        if not ends:
            return False
    return True


def _has_run(text: str, prefix: str, least: int) -> bool:
    at = text.find(prefix)
    while at >= 0:
        end = start = at + len(prefix)
        while end < len(text) and end - start < least and text[end] in _TOKEN:
            end += 1
        if end - start >= least:
            return True
        at = text.find(prefix, at + 1)
    return False
