"""Keys of content for tests, with no broker."""

from collections.abc import Iterable, Sequence

from endocrine.pipeline.core.content_keys import KeyTable
from endocrine.pipeline.core.records import Fetched, OutputRecord
from endocrine.pipeline.core.seals import SealKey, simulated_seals

PARTITIONS = 2
WRAPPING = [SealKey("w1", b"w" * 32)]


def table(wrapping: Sequence[SealKey] = WRAPPING) -> KeyTable:
    """Return a table that has seen nothing yet."""
    return KeyTable(wrapping, simulated_seals(), PARTITIONS)


def on_topic(records: Iterable[OutputRecord]) -> list[Fetched]:
    """Return what was produced, as it is fetched."""
    return [Fetched(out.partition, n, 0, out.key, out.value, out.own) for n, out in enumerate(records)]
