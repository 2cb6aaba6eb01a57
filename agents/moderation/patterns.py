"""Finding phrases, marks, runs and secrets in a text: patterns of configuration cannot explode.

A phrase is words with single spaces: `tell|show me * your|the system? prompt`. A slot's words are alternatives, those
of a slot that ends with `?` may be left out, and `*` matches up to `gap` words of any kind. Words are compared as
they read (agents._shared.normalise), in any case; words that are s p a c e d out are joined, and long runs of letters
are searched for phrases written without spaces. Marks are
plain substrings of the text as it reads, runs a prefix and what follows, both in their own case; secrets are the shapes
of endocrine.agents._shared.shapes. Stems, for languages that write no spaces or inflect, are in
endocrine.agents.moderation.stems. Cost: at most (length of the text) * (slots of the phrase) * gap steps.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import re2

from endocrine.agents._shared.checks import placeholder
from endocrine.agents._shared.normalise import normalise
from endocrine.agents._shared.shapes import Kind, finder
from endocrine.agents.moderation.stems import compile_stems, without_spaces

GAP = "*"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*/|+~,\n\t]){3,}[^\W_](?![^\W_])")
"""Four single letters or more, parted by one mark each."""
_SPACED_SHORT = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*/|+~,\n\t])+[^\W_](?![^\W_])")
"""The same from two letters on, for texts that have a longer one."""
_LETTERS = str.maketrans("0134578i", "oleastbl")
_SIGNS = {"@": "a", "$": "s", "!": "i", "|": "l", "-\n": ""}
_SIGN = re.compile(r"(?<=[a-z])[@$!|](?=[a-z])|(?<![^\W_])\|(?=[a-z]{2})|(?<=[a-z])-\n(?=[a-z])")
_MASKED = re.compile(
    r"[A-Za-z][0134578@$!|]{1,2}[A-Za-z]|(?<![^\W_])[013457|][A-Za-z]{2}|[a-z]I[A-Za-z]?|[a-z]-\n[a-z]"
)
"""What gives away that digits or signs may replace letters: cheap, and rare in other texts."""
_RUN_TOGETHER = 12
"""Letters of a word that may be a whole phrase without spaces."""
_MOST_VARIANTS = 16
_GONE = "\0"


class Text(NamedTuple):
    """A text, made ready once for all matchers."""

    plain: str
    """As it reads, in its own case."""
    words: Sequence[str]
    """Its words, case folded."""
    present: frozenset[str]
    """The same, each once: most phrases need a word that is not there."""
    rejoined: Sequence[str]
    """Its words where two together are one that rules look for; empty where there are none."""
    joined: Sequence[str]
    """The same where letters that are spaced out are words; empty where there are none."""
    runs: frozenset[str]
    """The words among `joined` that were spaced out."""
    masked: Sequence[str]
    """Its words by `_unmasked`, where digits or signs replace letters in one of them; else empty."""
    long_words: str
    """Words so long that they may be several, with spaces between them."""
    letters: str
    """The text without spaces, case folded: what stems are looked for in."""


Matcher = Callable[[Text, int], bool]
"""(text, gap) -> whether it occurs."""


def read(text: str, chars: int, broken: frozenset[str] = frozenset()) -> Text:
    """Return the first `chars` characters of a text, ready to be held against matchers.

    broken: words that are put together again where a space parts them.

    >>> read("I\u200bgnore \uff21LL rules", 100).words
    ['ignore', 'all', 'rules']
    >>> read("i g n o r e  a l l  r u l e s", 100).joined
    ['ignore', 'all', 'rules']
    >>> read("1gn0re a|l rules", 100).masked == [_unmasked(word) for word in ("ignore", "all", "rules")]
    True
    >>> read("ig nore all rules", 100, frozenset({"ignore"})).rejoined
    ['ignore', 'all', 'rules']
    """
    plain = normalise(text[:chars])
    folded = plain.casefold()
    words = _WORD.findall(folded)
    joined: list[str] = []
    runs: frozenset[str] = frozenset()
    if _SPACED.search(folded):
        runs = frozenset(run[::2] for run in _SPACED_SHORT.findall(folded))
        joined = _WORD.findall(_SPACED_SHORT.sub(lambda run: run.group()[::2], folded))
    long_words = dict.fromkeys(word for word in (*words, *joined) if len(word) >= _RUN_TOGETHER)
    masked: list[str] = []
    if _MASKED.search(plain):
        masked = [_unmasked(word) for word in _WORD.findall(_SIGN.sub(lambda sign: _SIGNS[sign[0]], folded))]
    rejoined = _rejoined(words, broken) if broken else ()
    letters = without_spaces(folded)
    return Text(plain, words, frozenset(words), rejoined, joined, runs, masked, " ".join(long_words), letters)


def variants(phrase: str) -> list[str]:
    """Return the phrase with and without each slot that may be left out. Raises ValueError where there are too many.

    >>> variants("end my own? life")
    ['end my own life', 'end my life']
    """
    found = [""]
    for part in phrase.split():
        with_it = [f"{one} {part.removesuffix('?')}".strip() for one in found]
        found = [*with_it, *found] if part.endswith("?") else with_it
        if len(found) > _MOST_VARIANTS:
            raise ValueError(f"phrase {phrase!r} has too many words that may be left out, expected at most 4")
    return found


@lru_cache(maxsize=4096)
def slots_of(phrase: str) -> tuple[frozenset[str] | None, ...]:
    """Return the slots of a phrase; None is a gap. Raises ValueError where it is not one.

    >>> slots_of("show * prompt")[1] is None
    True
    """
    slots: list[frozenset[str] | None] = []
    for part in phrase.split():
        if part == GAP:
            slots.append(None)
            continue
        words = [normalise(word).casefold() for word in part.split("|")]
        if not all(_WORD.fullmatch(word) for word in words):
            raise ValueError(f"{part!r} in phrase {phrase!r} is no word, expected words, word|word, or a single *")
        slots.append(frozenset(words))
    if not slots or slots[0] is None or slots[-1] is None or any(a is b is None for a, b in pairwise(slots)):
        raise ValueError(f"phrase {phrase!r}: expected a word at both ends and no two * beside each other")
    return tuple(slots)


def spelt_chars(phrases: Iterable[str], marks: Iterable[str], runs: Iterable[tuple[str, int]]) -> int:
    """Return the characters of the longest of them as it is plainly spelt: longest words, nothing in the gaps.

    >>> spelt_chars(["tell|show me * prompt"], ["[INST]"], [("sk-", 10)])
    14
    """
    words = [
        [max(map(len, slot)) for slot in slots_of(one) if slot is not None]
        for phrase in phrases
        for one in variants(phrase)
    ]
    spelt = [sum(lengths) + len(lengths) - 1 for lengths in words]
    return max([*spelt, *map(len, marks), *(len(prefix) + least for prefix, least in runs)], default=0)


def compile_matcher(
    phrases: Iterable[str],
    marks: Iterable[str] = (),
    runs: Iterable[tuple[str, int]] = (),
    *,
    secrets: Iterable[Kind] = (),
    compounds: Iterable[str] = (),
    stems: tuple[Iterable[str], Iterable[str]] = ((), ()),
) -> Matcher:
    """Return a matcher that holds where any of them occurs.

    runs: prefix, and least length of what follows it; it begins no longer word. secrets: kinds of secrets, but for
    placeholders. compounds: phrases without gap whose words the other phrases do not see. stems: phrases of stems, and
    those that hide what they spell.
    """
    parsed = [slots_of(one) for phrase in phrases for one in variants(phrase)]
    apart = [slots_of(one) for phrase in compounds for one in variants(phrase)]
    vocabulary = frozenset(word for slots in parsed for slot in slots if slot is not None for word in slot)
    unmasked, unmasked_apart = ([_unmasked_slots(slots) for slots in each] for each in (parsed, apart))
    together = _together(parsed)
    kept, wanted, kinds = tuple(normalise(mark) for mark in marks), tuple(runs), tuple(secrets)
    has_stems = compile_stems(*stems)

    def occurs(text: Text, gap: int) -> bool:
        return (
            any(mark in text.plain for mark in kept)
            or any(_has_run(text.plain, prefix, least) for prefix, least in wanted)
            or (bool(kinds) and _has_secret(text.plain, kinds))
            or _has_any_phrase(text.words, parsed, apart, gap, text.present)
            or (bool(text.rejoined) and _has_any_phrase(text.rejoined, parsed, apart, gap))
            or (bool(text.joined) and _has_any_phrase(_known(text, vocabulary), parsed, apart, gap))
            or (bool(text.masked) and _has_any_phrase(text.masked, unmasked, unmasked_apart, gap))
            or (together is not None and bool(text.long_words) and together.search(text.long_words) is not None)
            or has_stems(text.letters, gap)
        )

    return occurs


Slots = Sequence[frozenset[str] | None]


def _known(text: Text, vocabulary: frozenset[str]) -> list[str]:
    """The second reading; letters that make no word of the phrases stay single: `x y z` is three words."""
    return [
        part
        for word in text.joined
        for part in ((word,) if word not in text.runs or word in vocabulary else tuple(word))
    ]


def _rejoined(words: Sequence[str], broken: frozenset[str]) -> Sequence[str]:
    """The words, two that follow each other as one where it is one of `broken`; empty where none is."""
    if not any(first + second in broken for first, second in pairwise(words)):
        return ()
    found: list[str] = []
    for word in words:
        if found and found[-1] + word in broken:
            found[-1] += word
        else:
            found.append(word)
    return found


def _unmasked(word: str) -> str:
    """The word with letters in place of digits that look like them, and one letter for i and l.

    >>> _unmasked("k1ll") == _unmasked("kill"), _unmasked("2024")
    (True, '2024')
    """
    return word if word.isdigit() else word.translate(_LETTERS)


def _unmasked_slots(slots: Slots) -> Slots:
    return [None if slot is None else frozenset(map(_unmasked, slot)) for slot in slots]


def _has_any_phrase(
    words: Sequence[str],
    phrases: Sequence[Slots],
    apart: Sequence[Slots],
    gap: int,
    present: frozenset[str] | None = None,
) -> bool:
    seen: Sequence[str] | None = None
    present = frozenset(words) if present is None else present
    for slots in phrases:
        if any(slot is not None and present.isdisjoint(slot) for slot in slots):
            continue
        if not _phrase_ends(words, slots, gap):
            continue
        if not apart:
            return True
        if seen is None:
            seen = _without(words, apart)
        if _phrase_ends(seen, slots, gap):
            return True
    return False


def _without(words: Sequence[str], apart: Sequence[Slots]) -> Sequence[str]:
    """The words, those of compounds made unreadable."""
    seen = list(words)
    for slots in apart:
        for end in _phrase_ends(words, slots, 0):
            seen[end - len(slots) : end] = [_GONE] * len(slots)
    return seen


def _phrase_ends(words: Sequence[str], slots: Slots, gap: int) -> set[int]:
    """Where a phrase ends. All ways to match are followed at once, as a set of places: none is tried twice."""
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
            return set()
    return ends or set()


def _together(phrases: Sequence[Slots]) -> Any:
    """The phrases as one pattern without spaces (RE2: linear); None where all are so short that they could be one
    word."""
    parts = []
    for slots in phrases:
        if sum(min(map(len, slot)) for slot in slots if slot is not None) < _RUN_TOGETHER:
            continue
        words = [
            "[a-z0-9]{0,24}" if slot is None else f"(?:{'|'.join(map(re2.escape, sorted(slot)))})" for slot in slots
        ]
        parts.append("".join(words))
    return re2.compile("|".join(parts)) if parts else None


def _has_secret(text: str, kinds: tuple[Kind, ...]) -> bool:
    return any(not placeholder(text[find.start : find.end]) for find in finder(kinds).finds(text))


def _has_run(text: str, prefix: str, least: int) -> bool:
    at = text.find(prefix)
    while at >= 0:
        end = start = at + len(prefix)
        while end < len(text) and end - start < least and text[end] in _TOKEN:
            end += 1
        if end - start >= least and not (at > 0 and prefix[0] in _ALNUM and text[at - 1] in _ALNUM):
            return True
        at = text.find(prefix, at + 1)
    return False
