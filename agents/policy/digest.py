"""The digest of a document: SHA-256 over its canonical JSON (RFC 8785)."""

import hashlib
from collections.abc import Mapping
from typing import Any

from endocrine.agents.canonical import canonical_json


def canonical_digest(document: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal characters; equal for equal documents, however their keys are ordered.

    Raises rfc8785.CanonicalizationError for what has no canonical form: NaN, infinities, integers beyond
    2**53 - 1.

    >>> canonical_digest({"b": 1.0, "a": 2}) == canonical_digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical_json(dict(document))).hexdigest()
