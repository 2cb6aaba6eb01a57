"""Tokens: what two identities share when their values match. Records are keyed by them, so that the values meet.

Equal values share one token. Keystroke simhashes within 7 bits of each other share at least one of 36: of 9 blocks of
bits 7 differing bits leave 2 equal, and every pair of blocks is a token.
"""

import hashlib
import re
from itertools import combinations

from endocrine.schemas.vocabulary import LinkKind

BLOCKS = (*((7 * number, 7) for number in range(8)), (56, 8))
"""Lowest bit and number of bits of each block: 8 of 7 bits, one of 8."""
MOST_VALUE = 1024
"""Characters of a value; a longer one is no evidence."""
_SIMHASH = re.compile(r"[0-9a-fA-F]{16}")


def simhash(value: object) -> int | None:
    """Return the 64 bits of a keystroke simhash; None where it is not exactly 16 hexadecimal digits.

    >>> simhash("00000000000000Ff"), simhash("ff"), simhash(255)
    (255, None, None)
    """
    return int(value, 16) if isinstance(value, str) and _SIMHASH.fullmatch(value) else None


def distance_tokens(bits: int) -> list[str]:
    """Return the 36 tokens of a simhash, in the order of their blocks."""
    blocks = [bits >> low & (1 << size) - 1 for low, size in BLOCKS]
    return [f"$ev:ks:{i}{j}:{blocks[i]:x}:{blocks[j]:x}" for i, j in combinations(range(len(BLOCKS)), 2)]


def first_shared(one: int, other: int) -> str | None:
    """Return the first token that two simhashes share; None where they share none."""
    shared = set(distance_tokens(other))
    return next((token for token in distance_tokens(one) if token in shared), None)


def exact_token(kind: LinkKind, value: str) -> str:
    """Return the token of a value that must be equal.

    >>> exact_token("c2", "203.0.113.9:443")
    '$ev:c2:ed588dd93de9da883cefa0607374c439'
    """
    return f"$ev:{kind}:{exact_digest(value)}"


def exact_digest(value: str) -> str:
    """Return the digest of a value, 16 bytes in hexadecimal."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
