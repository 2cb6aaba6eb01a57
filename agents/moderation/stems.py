"""Phrases of stems: for languages that write no spaces between words, or give one word a dozen endings.

`忽略|无视 * 之前|以上 * 指令`: each alternative may be a part of a word, spaces do not matter, and `*` is up to
LETTERS characters for each word of a gap, none of which ends a sentence. A slot that follows without `*` follows at
once. Stems are compared as they read (endocrine.agents._shared.normalise), in any case. Cost: the text is searched for
each stem of a phrase once, and each find is looked up among those of the slot before by bisection.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import re2

from endocrine.agents._shared.normalise import normalise

GAP = "*"
LETTERS = 8
"""Characters that one word of a gap may have."""
LEAST_CHARS = 2
"""Of a stem."""
_END = "\x01"
"""Marks the end of a sentence; text that was normalised has no such character."""
_ENDS = frozenset(f"{_END}\u3002\u0964")
"""What ends a sentence where there are no spaces: that, and the full stops of Chinese and of Indic scripts."""
_SENTENCE_END = re.compile(r"[.!?\u061f][\"')\]\u201c\u201d\u00bb]*\s")

Stems = Sequence[tuple[bool, tuple[str, ...]]]
"""Slots: whether a gap lies before it, and its alternatives."""


def without_spaces(text: str) -> str:
    """Return a text, as it reads and case folded, without white space; a mark stays where a sentence ends.

    >>> without_spaces("see www.example. more tea")
    'seewww.example\\x01moretea'
    """
    return "".join(_SENTENCE_END.sub(_END, text).split())


def stems_of(phrase: str, least: int = 2) -> Stems:
    """Return the slots of a phrase of stems. Raises ValueError where it is not one of
    `least` slots.

    >>> stems_of("ignoruj|pomiń * poprzedni")
    [(False, ('ignoruj', 'pomin')), (True, ('poprzedni',))]
    """
    slots: list[tuple[bool, tuple[str, ...]]] = []
    stretch = False
    for part in phrase.split():
        if part == GAP:
            if stretch or not slots:
                raise ValueError(f"phrase {phrase!r}: expected a stem at both ends and no two * beside each other")
            stretch = True
            continue
        stems = tuple(without_spaces(normalise(stem).casefold()) for stem in part.split("|"))
        if any(len(stem) < LEAST_CHARS or GAP in stem for stem in stems):
            raise ValueError(f"{part!r} in phrase {phrase!r}: expected stems of {LEAST_CHARS} characters at least")
        slots.append((stretch, stems))
        stretch = False
    if stretch or len(slots) < least:
        raise ValueError(f"phrase {phrase!r}: expected {least} stems at least, and one at both ends")
    return slots


def compound_of(phrase: str) -> Stems:
    """Return the slots of a compound of stems, which follow each other. Raises ValueError where it is not one."""
    slots = stems_of(phrase, least=1)
    if any(stretch for stretch, _ in slots):
        raise ValueError(f"compound {phrase!r} has a gap, expected stems that follow each other")
    return slots


def compile_stems(phrases: Iterable[str], compounds: Iterable[str]) -> Callable[[str, int], bool]:
    """Return (text without spaces, gap in words) -> whether one of the phrases occurs.

    compounds: stems without gap that mean something else; phrases do not see what they spell.
    """
    parsed = [stems_of(phrase) for phrase in phrases]
    if not parsed:
        return lambda text, gap: False
    # One pass over the text, and for most texts no more: a stem of a first slot must be there.
    first = re2.compile("|".join(sorted({re2.escape(stem) for slots in parsed for stem in slots[0][1]})))
    apart = ["".join(f"(?:{'|'.join(map(re2.escape, stems))})" for _, stems in compound_of(one)) for one in compounds]
    hidden = re2.compile("|".join(apart)) if apart else None

    def occurs(text: str, gap: int) -> bool:
        if first.search(text) is None:
            return False
        found = [slots for slots in parsed if _ends(text, slots, gap * LETTERS)]
        if not found or hidden is None:
            return bool(found)
        seen = hidden.sub("\0", text)
        return any(_ends(seen, slots, gap * LETTERS) for slots in found)

    return occurs


def _ends(text: str, slots: Stems, gap: int) -> list[int]:
    """Where a phrase ends, in order. Of the ends of the slot before only the nearest counts: it leaves the least
    between.
    """
    ends: list[int] | None = None
    for stretch, stems in slots:
        reach = gap if stretch else 0
        kept = {
            start + len(stem)
            for stem in stems
            for start in _starts(text, stem)
            if ends is None or _follows(text, ends, start, reach)
        }
        if not kept:
            return []
        ends = sorted(kept)
    return ends or []


def _starts(text: str, stem: str) -> Iterable[int]:
    at = text.find(stem)
    while at >= 0:
        yield at
        at = text.find(stem, at + 1)


def _follows(text: str, ends: Sequence[int], start: int, reach: int) -> bool:
    number = bisect_right(ends, start)
    if number == 0 or start - ends[number - 1] > reach:
        return False
    return _ENDS.isdisjoint(text[ends[number - 1] : start])
