"""Claims of erased names: a digest in the place of a name, so that the name is not given anew by accident. Pure."""

import hashlib

from endocrine.agents.canonical import canonical_json

ERASED = "erased:"
"""Begins the name of a claim; the digest follows."""


def claim_of(scope: str, name: str) -> str:
    """Return the name under which the registry keeps that a name of this scope was erased. Case does not count.

    Who guesses the name can confirm the guess: a digest hides a name from who has none in mind.

    >>> claim_of("identity", "Ann") == claim_of("identity", "ann"), len(claim_of("project", "p05"))
    (True, 71)
    """
    return ERASED + hashlib.sha256(canonical_json([scope, name.lower()])).hexdigest()
