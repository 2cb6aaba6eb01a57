"""Records as a connector of ours writes them: for tests that stand for one."""

from collections.abc import Sequence

from endocrine.pipeline.core.records import Header
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.pipeline.process.settings import Settings


def sealed(
    settings: Settings,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header] = (),
) -> list[Header]:
    """The headers with the seal that a process under these settings gives. topic: without prefix."""
    own = dict(headers)
    names = ("ce_id", "endocrine-origin", "endocrine-rekeyed-from")
    seal = load_seals(settings).seal(topic, partition, key, value, *(own.get(name) for name in names))
    return [*headers, ("endocrine-seal", seal)]
