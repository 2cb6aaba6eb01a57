"""What a producer without a seal key writes: headers of ours on its own records, records on topics of ours, copies."""

import random

from endocrine.pipeline.core.records import ORIGIN, REKEYED_FROM, SEAL, Header, OutputRecord
from simbroker.broker import MemoryBroker
from simbroker.toys import PARTITIONS

OURS = ("d1", "d2")
_FAR = (1 << 63) - 1
_SEALS = (b"simulated:" + b"0" * 32, b"other:00", b"")


def forged(rng: random.Random, broker: MemoryBroker, given: OutputRecord) -> OutputRecord:
    """An input in place of `given`: of it with forged headers, or of a record of ours appended again."""
    dice = rng.random()
    if dice < 0.4:
        return given._replace(own=(*given.own, *_headers(rng)))
    if dice < 0.6:
        return given._replace(topic=rng.choice(OURS), own=(*given.own, *(_headers(rng) if rng.random() < 0.5 else ())))
    written = [
        (topic, raw)
        for (topic, _), log in sorted(broker.topics.items())
        if topic in OURS
        for raw in log
        if raw is not None
    ]
    if not written:
        return given._replace(own=(*given.own, *_headers(rng)))
    topic, raw = rng.choice(written)
    place = raw.partition if rng.random() < 0.4 else (raw.partition + 1) % PARTITIONS
    return OutputRecord(topic, place, raw.key, raw.value, tuple(raw.headers), False)


def _headers(rng: random.Random) -> list[Header]:
    """Headers by which copies are recognised, from far ahead, under seals that are none."""
    offset = rng.choice((0, 3, 10**6, _FAR))
    agent, topic = rng.choice((("x", "s1"), ("x", "s2"), ("y", "d1")))
    origin = f"{agent}/{topic}/{rng.randrange(PARTITIONS)}/{offset}/{rng.randrange(3)}".encode()
    moved = f"{rng.choice(('s1', 's3', 'd1'))}/{rng.randrange(PARTITIONS)}/{offset}".encode()
    headers: list[Header] = [(SEAL, rng.choice(_SEALS))] if rng.random() < 0.8 else []
    if rng.random() < 0.6:
        headers.append((ORIGIN, origin))
    if rng.random() < 0.5:
        headers.append((REKEYED_FROM, moved))
    return headers
