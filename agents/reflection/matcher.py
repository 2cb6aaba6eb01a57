"""Whether an answer agrees with a memory: how many of the memory's words it has (memory, section 5). Exact, and blind
to negation: `I do not prefer Python` reinforces `prefers Python`."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from endocrine.agents._shared.memories import normalized

_AROUND = ".,;:!?\"'()[]{}-/"
"""Characters stripped from both ends of a word, and only there."""
_LEAST = 3
"""Letters of a word that counts."""
_STOP = frozenset(
    ("the", "a", "an", "and", "or", "of", "to", "is", "was", "that", "this", "with", "for", "from", "into")
)


class Stems(NamedTuple):
    """The state of a memory's words."""

    digests: list[int]
    """CRC-32 of each stem, ascending."""
    total: int
    """Stems that the memory has; more than there are digests where the bound cut them."""


def stem(word: str) -> str:
    """Return the stem of a word in small letters.

    >>> [stem(word) for word in ("prefers", "preferred", "processing", "added", "bus")]
    ['prefer', 'prefer', 'process', 'ad', 'bus']
    """
    if word.endswith("ing") and len(word) >= 6:
        return word[:-3]
    if word.endswith("ed") and len(word) > 4:
        rest = word[:-2]
        return rest[:-1] if len(rest) >= 3 and rest[-1] == rest[-2] else rest
    return word[:-1] if word.endswith("s") and len(word) > 3 else word


def tokens(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that count."""
    return frozenset(token for token in map(_token, normalized(text).split(" ")) if token is not None)


@lru_cache(maxsize=4)
def digests(text: str) -> frozenset[int]:
    """Return the stems of a text, each as 4 bytes: two of the words of an answer meet by chance once in a million.

    The latest texts are kept: an answer is read under its identity, and at once again under its project.
    """
    found = set(map(_digest, set(normalized(text).split(" "))))
    found.discard(None)
    return frozenset(found)  # type: ignore[arg-type]


def _token(word: str) -> str | None:
    """The stem of a word as it is written, in small letters; None where it does not count."""
    bare = word.strip(_AROUND)
    return stem(bare) if len(bare) >= _LEAST and bare not in _STOP else None


@lru_cache(maxsize=1 << 14)
def _digest(word: str) -> int | None:
    """The 4 bytes of its stem. Remembered, since every answer is read once per subject and words come again."""
    token = _token(word)
    return None if token is None else crc32(token.encode("utf-8", "surrogatepass"))


def stems(content: str, *, least_chars: int, most: int) -> Stems | None:
    """Return the state of a memory's words; None for one that is never matched: too short, or without words.

    least_chars: of the normalized content. most: digests kept; of more the smallest, which no author can choose.
    """
    if len(normalized(content)) < least_chars:
        return None
    found = sorted(digests(content))
    return Stems(found[:most], len(found)) if found else None


def matched(kept: Iterable[int], answer: frozenset[int]) -> int:
    """Return how many of a memory's digests an answer has."""
    return len(answer.intersection(kept))


def agrees(count: int, total: int, share: float) -> bool:
    """Return whether so many of so many words are enough. share: of the memory's words, inclusive.

    >>> agrees(7, 10, 0.7), agrees(6, 10, 0.7), agrees(0, 0, 0.7)
    (True, False, False)
    """
    return total > 0 and count / total >= share
