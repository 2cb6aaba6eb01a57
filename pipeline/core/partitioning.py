"""Does a record lie where its identity belongs? (architecture, section 5b)"""

from collections.abc import Callable, Sequence
from struct import Struct

from endocrine.agents.names.rules import PROJECT, RESERVED, reserved

__all__ = ["PROJECT", "RESERVED", "Places", "canonical", "partition_of", "places", "reserved"]
_MOST = 100_000
_M, _BITS = 0x5BD1E995, 0xFFFFFFFF
"""Multiplier of MurmurHash2, and its 32 bits."""
_words: dict[int, Callable[[bytes], Sequence[int]]] = {}
"""By their number: what reads so many words, little-endian, from the beginning of bytes. Identities are short: there
are few."""


def murmur2(key: bytes) -> int:
    """Return MurmurHash2 with Kafka's seed, 0 to 2**32 - 1 (org.apache.kafka.common.utils.Utils.murmur2).

    By hand: aiokafka's goes byte by byte and takes more than twice the time, and where a stream names more identities
    than are cached, every record pays for it.

    >>> murmur2(b"foobar") - 2**32
    -790332482
    """
    size = len(key)
    count = size >> 2
    if (words := _words.get(count)) is None:
        words = _words[count] = Struct(f"<{count}I").unpack_from
    hashed = 0x9747B28C ^ size
    for word in words(key):
        mixed = word * _M & _BITS
        hashed = (hashed * _M ^ (mixed ^ mixed >> 24) * _M) & _BITS
    if rest := size & 3:
        hashed = (hashed ^ int.from_bytes(key[-rest:], "little")) * _M & _BITS
    hashed = (hashed ^ hashed >> 13) * _M & _BITS
    return hashed ^ hashed >> 15


class Places(dict[str, int]):
    """Partition of each identity, cached: every record is asked for its own, and the hash takes a microsecond."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def __missing__(self, identity: str) -> int:
        if len(self) >= _MOST:
            self.clear()  # the hash is a pure function: forgetting costs time, never correctness
        place = self[identity] = (murmur2(identity.encode()) & 0x7FFFFFFF) % self._partitions
        return place


_places: dict[int, Places] = {}


def canonical(name: str) -> str:
    """Return the canonical form of an identity. Aliases come with the identity registry; until then a name is
    itself."""
    return name


LONGEST_PROJECT = 200
"""Characters of a project's id."""
_LONGEST = 256


def subject_of(name: str) -> str:
    """Return the subject that a person named: an identity, or `project:` and the id of a project.

    White space around names is cut. Raises ValueError, which names what was expected and not what was given.

    >>> subject_of(" ann "), subject_of("Project: p05")
    ('ann', 'project:p05')
    """
    text = name.strip()
    if text[: len(PROJECT)].lower() == PROJECT:
        project = text[len(PROJECT) :].strip()
        if not 1 <= len(project) <= LONGEST_PROJECT:
            raise ValueError(f"a project's id of {len(project)} characters; expected 1 to {LONGEST_PROJECT}")
        return PROJECT + project
    if not 1 <= len(text) <= _LONGEST:
        raise ValueError(f"a name of {len(text)} characters; expected 1 to {_LONGEST}")
    if reserved(text):
        raise ValueError("reserved_name; expected an identity, or `project:` and the id of a project")
    return canonical(text)


def partition_of(identity: str, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner (murmur2) gives this key.

    >>> partition_of("ann", 4)
    2
    """
    return places(partitions)[identity]


def places(partitions: int) -> Places:
    """Return the partitions of identities on topics of so many."""
    found = _places.get(partitions)
    if found is None:
        found = _places[partitions] = Places(partitions)
    return found
