"""Who wrote a record, in which batch, and what it is called there: read from its headers."""

from collections.abc import Mapping
from typing import NamedTuple

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.dead_letter_topics import holds_dead_letters
from endocrine.pipeline.core.records import CE_ID, CUT, ORIGIN, REKEYED_FROM, SEAL, Headers
from endocrine.pipeline.replay.recorded_seals import RECORDED

NO_BATCH = -1
"""The batch of dead letters and re-keyed records, which name none."""


class Origin(NamedTuple):
    """Where a record of our making comes from."""

    processor: str
    """`agent/partition`; empty where the headers do not say."""
    name: str
    """What tells it from the unit's other records on its topic and partition."""
    batch: int
    """-1 for dead letters and re-keyed records."""
    topic: str
    """Of its trigger, as is the offset; empty where the batch is enough."""
    offset: int


def name_of(topic: str, headers: Mapping[str, bytes | None]) -> str | None:
    """Return its id, or where a record that was set aside came from; None: not of our making."""
    moved, origin = headers.get(REKEYED_FROM), headers.get(ORIGIN)
    if holds_dead_letters(topic):
        return "dead letter of " + (origin or b"?").decode("utf-8", "backslashreplace")
    if moved is not None:
        return "re-keyed from " + moved.decode("utf-8", "backslashreplace")
    named = headers.get(CE_ID)
    return None if origin is None or named is None else named.decode("utf-8", "backslashreplace")


def called(topic: str, headers: Headers) -> str:
    """Return its name for people, and to find it by."""
    return name_of(topic, dict(headers)) or "without a name"


def origin_of(topic: str, headers: Mapping[str, bytes | None]) -> Origin | None:
    """Return its origin. None: not of our making. A unit that cannot be read is empty.

    What carries no seal of ours is a stranger's, whatever else its headers hold.
    """
    name = name_of(topic, headers)
    if name is None or headers.get(SEAL) != RECORDED:
        return None
    try:
        dead = holds_dead_letters(topic)
        moved = headers.get(REKEYED_FROM)
        if moved is not None and not dead:
            source, place, offset = moved.decode().rsplit("/", 2)
            return Origin(f"{CATALOGUE[source].owner}/{int(place)}", name, NO_BATCH, source, int(offset))
        cut = headers.get(CUT)
        if cut is not None and not dead:
            processor, _, batch = cut.decode().rpartition("/")
            return Origin(processor, name, int(batch), "", 0)
        agent, source, place, offset, _ = (headers.get(ORIGIN) or b"").decode().split("/")
        return Origin(f"{agent}/{int(place)}", name, NO_BATCH, source, int(offset))
    except (KeyError, ValueError):
        return Origin("", name, NO_BATCH, "", 0)
