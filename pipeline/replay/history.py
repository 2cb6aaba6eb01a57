"""What came from outside, in the order in which it came: the part of history that any policy would have met."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.records import CE_ID, Header
from endocrine.pipeline.replay.journals import read_journal
from endocrine.pipeline.replay.provenance import origin_of
from endocrine.pipeline.replay.record_log import RecordLog


class HistoryError(Exception):
    """What was cannot be made again. The message says why."""


class Outside(NamedTuple):
    """One record that an outsider produced."""

    time: int
    """Append time, milliseconds since 1970."""
    rank: int
    topic: str
    raw: Any

    @property
    def headers(self) -> tuple[Header, ...]:
        """Its headers, with the id it has by its place where it brings none: so ids are those of the record."""
        headers = tuple(self.raw.headers)
        if dict(headers).get(CE_ID) is not None:
            return headers
        return *headers, (CE_ID, f"{self.topic}/{self.raw.partition}/{self.raw.offset}".encode())


def outside(logs: Mapping[tuple[str, int], RecordLog], agents: Sequence[Agent]) -> Iterator[Outside]:
    """Yield all records of outsiders that agents read, by append time; at equal times by the agents' order of
    sources."""
    ranks = {topic: rank for rank, topic in enumerate(dict.fromkeys(name for one in agents for name in one.sources))}
    streams = [_of(topic, ranks[topic], log) for (topic, _), log in logs.items() if topic in ranks]
    return heapq.merge(*streams, key=lambda one: (one.time, one.rank, one.raw.partition, one.raw.offset))


def _of(topic: str, rank: int, log: RecordLog) -> Iterator[Outside]:
    for raw in log:
        if not raw.headers or origin_of(topic, dict(raw.headers)) is None:
            yield Outside(raw.timestamp, rank, topic, raw)


class InForce:
    """Which policy was in force when a record was read, by the journal of the first agent that reads its topic."""

    def __init__(self, logs: Mapping[tuple[str, int], RecordLog], agents: Sequence[Agent], partitions: int) -> None:
        self._changes: dict[tuple[str, int], tuple[list[int], list[str]]] = {}
        self._any: str | None = None
        for partition in range(partitions):
            journals = read_journal(logs["journal", partition], partition, lambda kind, detail: None)
            for agent in agents:
                journal = journals.get(f"{agent.name}/{partition}")
                mine = {topic for topic in agent.sources if (topic, partition) not in self._changes}
                for batch in range(journal.base, journal.last + 1) if journal else ():
                    assert journal is not None
                    entry = journal.entry(batch)
                    self._any = self._any or entry["policy"]
                    for topic, first, _ in entry["runs"]:
                        if topic in mine:
                            offsets, digests = self._changes.setdefault((topic, partition), ([], []))
                            if not digests or digests[-1] != entry["policy"]:
                                offsets.append(first)
                                digests.append(entry["policy"])

    def at(self, topic: str, raw: Any) -> str | None:
        """Return the digest; None when nothing was ever journaled."""
        offsets, digests = self._changes.get((topic, raw.partition), ([], []))
        if not digests:
            return self._any
        return digests[max(0, bisect_right(offsets, raw.offset) - 1)]
