"""Topics and compacted changelogs in memory, and the port of a unit onto them.

Every effect is preceded by a pause, where the schedule may leave the unit for a while (a zombie) or for ever (a crash).
"""

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.engine.wire import Fetched, Headers, Outgoing
from pipeline.runtime.changelog import CLAIM_KEY, Entry
from pipeline.runtime.port import Run


class _Pause:
    def __await__(self) -> Generator[str, None, None]:
        yield "effect"


class _Idle:
    def __await__(self) -> Generator[str, None, None]:
        yield "idle"


class Spoken(NamedTuple):
    """A record on a topic as the checks see it."""

    at: int
    """Moment of the broker's clock."""
    by: str
    offset: int
    record: Outgoing
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Changelog:
    """A compacted partition; offsets survive compaction. `ever` is the uncompacted copy for the checks."""

    entries: list[Entry] = field(default_factory=list)
    ever: list[Entry] = field(default_factory=list)

    def append(self, items: Sequence[tuple[bytes, bytes | None]], claim: int) -> int:
        """One atomic batch; returns its base offset."""
        base = len(self.ever)
        for key, value in items:
            offset = len(self.ever)
            entry = Entry(offset, key, value, offset if key == CLAIM_KEY else claim)
            self.ever.append(entry)
            self.entries.append(entry)
        return base

    def compact(self, lag: bool) -> None:
        """Keep the last record of each key. lag: a void record is mended before it can displace what it hides."""
        claim = -1
        void: dict[bytes, int] = {}
        for entry in self.entries:
            if entry.key == CLAIM_KEY:
                claim = entry.offset
            elif entry.claim < claim:
                void.setdefault(entry.key, entry.offset)
            else:
                void.pop(entry.key, None)
        bound = min([*void.values(), len(self.ever)]) if lag else len(self.ever)
        last = {entry.key: entry.offset for entry in self.entries if entry.offset < bound}
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= bound
            or (last[entry.key] == entry.offset and (entry.value is not None or entry.key == CLAIM_KEY))
        ]


class MemoryBroker:
    """Topics of `partitions` partitions each, and changelogs by (agent, partition)."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.topics: dict[tuple[str, int], list[Fetched]] = defaultdict(list)
        self.spoken: dict[tuple[str, int], list[Spoken]] = defaultdict(list)
        self.changelogs: dict[tuple[str, int], Changelog] = defaultdict(Changelog)
        self.clock = 0
        self.trace: list[str] = []

    def append(self, by: str, out: Outgoing, common: Headers = ()) -> int:
        """Append a record to a topic, as the broker does; returns its offset."""
        self.clock += 1
        headers = (*out.own, *common) if out.derived else tuple(out.own)
        place = (out.topic, out.partition)
        offset = len(self.topics[place])
        # Coarse append times: many records share one, as milliseconds do on a fast broker.
        self.topics[place].append(Fetched(out.partition, offset, self.clock // 4, out.key, out.value, headers))
        self.spoken[place].append(Spoken(self.clock, by, offset, out, headers))
        self.trace.append(f"{by} speaks {dict(headers).get('ce_id', b'?').decode()} to {out.topic}/{out.partition}")
        return offset


class MemoryPort:
    """The broker as one incarnation of a unit sees it (pipeline.runtime.port.Port)."""

    def __init__(
        self,
        broker: MemoryBroker,
        name: str,
        agent: str,
        partition: int,
        sources: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._broker = broker
        self._name = name
        self._partition = partition
        self._log = broker.changelogs[agent, partition]
        self._sources = sources
        self._rng = rng
        self._position: dict[str, int] = {}

    async def claim(self) -> int:
        await _Pause()
        offset = self._log.append([(CLAIM_KEY, b"{}")], -1)
        self._broker.trace.append(f"{self._name} claims at {offset}")
        return offset

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        yield [entry for entry in self._log.entries if start <= entry.offset < end]

    async def changelog_end(self) -> int:
        return len(self._log.ever)

    async def remember(self, items: Sequence[tuple[bytes, bytes | None]], claim: int) -> int:
        await _Pause()
        base = self._log.append(items, claim)
        self._broker.trace.append(f"{self._name} remembers {[key.decode() for key, _ in items]} at {base}")
        return base

    async def speak(self, records: Sequence[Outgoing], common: Headers) -> None:
        for out in records:
            await _Pause()
            self._broker.append(self._name, out, common)

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """A few records of some topics, in any interleaving of topics."""
        runs: list[Run] = []
        for topic in self._rng.sample(self._sources, len(self._sources)):
            log, at = self._broker.topics[topic, self._partition], self._position.get(topic, 0)
            take = self._rng.randint(0, 3)
            if at < len(log) and take:
                runs.append((topic, log[at : at + take]))
                self._position[topic] = min(at + take, len(log))
        if not runs and wait:
            ahead = any(
                self._position.get(topic, 0) < len(self._broker.topics[topic, self._partition])
                for topic in self._sources
            )
            if ahead:
                await _Pause()
            else:
                await _Idle()
        return runs

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        return {topic: len(self._broker.topics[topic, self._partition]) for topic in topics}

    async def seek(self, front: Mapping[str, int]) -> None:
        # Offsets of the group may be lost or far behind: where they are behind, Read drops what lies below the head.
        self._position = {
            topic: self._rng.choice([0, front.get(topic, 0), front.get(topic, 0)]) for topic in self._sources
        }

    async def commit(self, front: Mapping[str, int]) -> None:
        return None
