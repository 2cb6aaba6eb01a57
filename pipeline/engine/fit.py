"""Does a record lie where its identity belongs? (architecture, section 5b)"""

from aiokafka.partitioner import murmur2

_CACHE_LIMIT = 100_000
_cache: dict[tuple[str, int], int] = {}


def canonical(name: str) -> str:
    """The canonical form of an identity. Aliases come with the identity registry; until then a name is itself."""
    return name


def partition_of(identity: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner (murmur2) gives this key.

    >>> partition_of("ann", 4)
    2
    """
    found = _cache.get((identity, partitions))
    if found is None:
        if len(_cache) >= _CACHE_LIMIT:
            _cache.clear()  # the hash is a pure function: forgetting costs time, never correctness
        found = _cache[identity, partitions] = int((murmur2(identity.encode()) & 0x7FFFFFFF) % partitions)
    return found
