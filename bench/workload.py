"""The observations that every competitor reads: made from a seed, so that all get the same bytes in the same order.

An identity has four primitives: two of labels, one number, one hash. A record's place in the stream is written in its
`ts`, and a change carries the `ts` of the observation it comes from: so a change on the broker says how far its
competitor has read. The last record of each partition is of an identity of its own and always causes a change.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from random import Random
from typing import Any

import orjson

from endocrine.pipeline.core.partitioning import partition_of

START_TS = 1_760_000_000.0
STEP_S = 0.001
"""Event time between two records: a day of hashes is never left, so no memory is cut by time."""
LABELS = ("low", "medium", "high")
STEADY = 0.85
"""Share of labels that are the identity's usual one; the others make it drift now and then."""
LABEL, OTHER_LABEL = "emotional_valence.arousal", "cognitive.planning_depth"
NUMBER, HASH = "interaction.conversation_initiation_rate", "toolchain.tls.ja4_client"
ROTATES = 0.25
"""Share of hash observations that show another hash than the one before."""

Record = tuple[int, bytes, bytes]
"""Partition, key, value."""


@dataclass(frozen=True)
class Workload:
    """A stream of observations.

    first: every identity once, with one primitive, before the rest (a memory to be filled); then `records` random ones.
    one_primitive: each identity keeps to the primitive of its first record, so keys are as many as identities.
    active: random records are of the first so many identities only; None: of all.
    """

    name: str
    identities: int
    records: int
    first: bool = False
    one_primitive: bool = False
    active: int | None = None
    seed: int = 1
    partitions: int = 4

    def cut(self, records: int) -> "Workload":
        """The first of its records only, for a competitor that is too slow for all."""
        return replace(self, records=min(records, self.records))


def index_of(ts: float) -> int:
    """The place in the stream of the record with this event time.

    >>> index_of(START_TS + 1234567 * STEP_S)
    1234567
    """
    return round((ts - START_TS) / STEP_S)


def value_of(index: int, identity: str, primitive: str, value: Any) -> dict[str, Any]:
    """One observation, as `behave-core` publishes it."""
    ts = START_TS + index * STEP_S
    return {
        "primitive": primitive,
        "value": value,
        "confidence": 0.8,
        "window": {"start_ts": ts - 30.0, "end_ts": ts},
        "source": "bench.sensor",
        "identity_ref": identity,
        "ts": ts,
        "id": f"{index:032x}",
        "v": 1,
    }


def observations(workload: Workload, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Partition and value, in order, without the last record of each partition. start: place of the first record."""
    rng = Random(workload.seed)
    chance, whole = rng.random, workload.identities
    names = [f"user-{number:07d}" for number in range(whole)]
    places = [partition_of(name, workload.partitions) for name in names]
    head = range(whole) if workload.first else range(0)
    drawn = (int(chance() * (workload.active or whole)) for _ in range(workload.records))
    index = start
    for who in chain(head, drawn):
        dice = (who * 0.6180339887) % 1.0 if workload.one_primitive else chance()
        yield places[who], value_of(index, names[who], *_measured(who, dice, chance))
        index += 1


def _measured(who: int, dice: float, chance: Any) -> tuple[str, Any]:
    if dice < 0.7:
        usual = LABELS[who % 3] if chance() < STEADY else LABELS[int(chance() * 3)]
        return (LABEL if dice < 0.4 else OTHER_LABEL), usual
    if dice < 0.9:
        return NUMBER, round(2.0 + who % 7 + chance(), 3)
    return HASH, f"{who * 4 + (int(chance() * 4) if chance() < ROTATES else 0):064x}"


def closing(partitions: int, start: int) -> list[tuple[int, dict[str, Any]]]:
    """One last record per partition, of an identity never seen: a first hash makes it stable, which is a change."""
    found: dict[int, str] = {}
    for number in count():
        name = f"last-{start}-{number}"
        found.setdefault(partition_of(name, partitions), name)
        if len(found) == partitions:
            break
    return [(place, value_of(start + place, found[place], HASH, "0" * 64)) for place in range(partitions)]


@dataclass
class Stream:
    """Records made, and where each is: by place in the stream, its partition and its ordinal there, from 1."""

    partitions: int
    partition: "array[int]"
    ordinal: "array[int]"
    counts: list[int]
    last: dict[int, int]
    """By partition, the place in the stream of its last record."""

    @classmethod
    def empty(cls, partitions: int) -> "Stream":
        """Nothing made yet."""
        return cls(partitions, array("B"), array("L"), [0] * partitions, {})

    @property
    def total(self) -> int:
        """Records made."""
        return len(self.partition)

    def make(self, workload: Workload) -> Iterator[Record]:
        """The workload's records and the closing ones, each noted here as it is made."""
        for place, value in observations(workload, self.total):
            yield self._note(place, value)
        for place, value in closing(self.partitions, self.total):
            yield self._note(place, value)

    def close(self) -> Iterator[Record]:
        """Closing records alone."""
        for place, value in closing(self.partitions, self.total):
            yield self._note(place, value)

    def _note(self, place: int, value: dict[str, Any]) -> Record:
        self.counts[place] += 1
        self.last[place] = len(self.partition)
        self.partition.append(place)
        self.ordinal.append(self.counts[place])
        return place, value["identity_ref"].encode(), orjson.dumps(value)
