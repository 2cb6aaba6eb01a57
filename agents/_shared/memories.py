"""What the agents of memory agree on: ids, and when two contents are the same."""

import hashlib
from typing import Literal

from endocrine.agents.canonical import canonical_json

_ID_DIGITS = 24


def normalized(text: str) -> str:
    """Return a text as it is compared: small letters, runs of white space one blank, none around it.

    >>> normalized("  GF-PTFE\\n 25 ")
    'gf-ptfe 25'
    """
    return " ".join(text.lower().split())


def digest_of(*fields: str) -> str:
    """Return 8 bytes, in hexadecimal, that replace fields which are too long for a state."""
    text = "\0".join(fields)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def content_digest(type_: str, content: str) -> str:
    """Return the digest of a type and a normalized content."""
    return digest_of(type_, normalized(content))


def value_digest(value: str) -> str:
    """Return the digest of a normalized value."""
    return digest_of(normalized(value))


def named_after(prefix: Literal["m", "c"], *fields: str | int) -> str:
    """Return the id of a memory (`m`) or a conflict (`c`): a digest of the canonical JSON array of the fields.

    >>> named_after("m", "ann", "t1", 0)
    'm-ae57b4304d982e2d40605ea9'
    """
    return f"{prefix}-{hashlib.sha256(canonical_json(list(fields))).hexdigest()[:_ID_DIGITS]}"


def memory_id(subject: str, trigger_id: str) -> str:
    """Return the id of the memory that a record creates, under its subject; a record creates one at most."""
    return named_after("m", subject, trigger_id, 0)


def value_of(content: str, slot: str | None) -> str | None:
    """Return the value that a content gives its slot: what follows `slot:`, or all of it; None without a slot.

    >>> value_of("pad_material: GF-PTFE", "pad_material"), value_of("GF-PTFE", "pad_material"), value_of("x", None)
    ('GF-PTFE', 'GF-PTFE', None)
    """
    if slot is None:
        return None
    name, colon, after = content.partition(":")
    return after.strip() or content if colon and name.strip().lower() == slot else content
