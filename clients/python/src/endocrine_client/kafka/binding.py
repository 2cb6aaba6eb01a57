"""Digests and partitions as the engine makes them: by them a record is known as the answer to a call."""

import hashlib
from typing import Any

import rfc8785
from aiokafka.partitioner import murmur2


def digest_of(arguments: Any) -> str | None:
    """SHA-256 of an object's canonical JSON (RFC 8785), hexadecimal; None where it has none, or is no object."""
    if not isinstance(arguments, dict):
        return None
    try:
        return hashlib.sha256(rfc8785.dumps(arguments)).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError):
        return None


def partition_of(identity: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner (murmur2) gives this key. Raises UnicodeEncodeError."""
    return int(murmur2(identity.encode()) & 0x7FFFFFFF) % partitions
