"""What our worker writes for a workload, recorded: `ideal` writes the same bytes with no logic at all.

The processor itself runs over the records, on a port that notes what it is given: so the bytes follow the code, states,
changes, journal, headers, checkpoints and all. Only offsets of the changelog and the worker's own times are others.
"""

import asyncio
import marshal
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from bench.in_order import InOrder
from bench.workload import Record
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.changelog import CLAIM_HEADER, EPOCH_KEY, Entry
from endocrine.pipeline.core.records import Fetched, Headers, OutputRecord
from endocrine.pipeline.core.seals import KeyedSeals, SealKey
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.broker_port import Run
from endocrine.pipeline.runtime.partition_processor import PartitionProcessor
from endocrine.pipeline.runtime.state_stores import MemoryStore

AGENT = next(agent for agent in AGENTS if agent.name == "attribution")
CHANGELOG = "changelog.attribution"
SOURCE = "observations"
Written = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Key, value, headers."""
Batch = tuple[str, list[Written]]
"""Topic without prefix, and its records."""
Step = tuple[int, list[Batch]]
"""So many inputs must have been read; then these batches are written, the changelog's first."""


class RecordingPort(InOrder):
    """A broker for one processor that gives it the records and notes what it writes. See BrokerPort."""

    def __init__(self, records: Sequence[Fetched], at_once: int) -> None:
        self.steps: list[Step] = []
        self._records, self._at_once = records, at_once
        self._place = 0
        self._end = 0
        self._epoch = 0
        self._batches: list[Batch] = []

    async def epoch(self) -> int:
        """The first record of the changelog."""
        self._end = 1
        return 0

    async def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        """Its epoch record: it is new."""
        yield [Entry(0, EPOCH_KEY, b"", 0)]

    async def changelog_end(self) -> int:
        """Where it ends."""
        return self._end

    async def write_checkpoint(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        """Note the batch."""
        base, self._end = self._end, self._end + len(items)
        headers = [(CLAIM_HEADER, str(epoch).encode())]
        self._batches.append((CHANGELOG, [(key, value, list(headers)) for key, value in items]))
        return base

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        """Note the records, a batch per topic, in the order in which their topics come first."""
        for topic, found in groupby(sorted(records, key=lambda out: out.topic), key=lambda out: out.topic):
            written = [(out.key, out.value, [*out.own, *(common if out.derived else ())]) for out in found]
            self._batches.append((topic, written))

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """The next records; none at the end."""
        found = self._records[self._place : self._place + self._at_once]
        self._place += len(found)
        return [Run(SOURCE, found, self._place)] if found else []

    def waiting(self) -> int:
        """What is left."""
        return len(self._records) - self._place

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Where the source ends."""
        return dict.fromkeys(topics, len(self._records))

    async def seek(self, next_offsets: Mapping[str, int]) -> None:
        """From the first on."""

    async def commit(self, next_offsets: Mapping[str, int]) -> None:
        """The batch is done: what was noted belongs to the inputs so far."""
        if self._batches:
            self.steps.append((next_offsets[SOURCE], self._batches))
            self._batches = []


async def steps_of(
    records: Sequence[Fetched], partition: int, partitions: int, prefix: str, at_once: int
) -> list[Step]:
    """What our processor of one partition writes for these records, batch by batch. at_once: records of a batch."""
    settings = Settings(prefix=prefix, partitions=partitions)
    seals = KeyedSeals([SealKey("bench", bytes(32))], prefix)
    policy = load_policy()
    port = RecordingPort(records, at_once)
    processor = PartitionProcessor(
        Engine(AGENT, partitions, "bench", Sizes(), seals),
        partition,
        port,
        MemoryStore(),
        lambda: policy,
        max_records=at_once,
        max_bytes=settings.changelog_message_bytes,
    )
    await processor.recover()
    while await processor.step():
        pass
    return port.steps


def record(made: Sequence[Record], partitions: int, folder: Path, prefix: str, at_once: int) -> None:
    """Write what our worker writes for these records, a file for each partition. at_once: records of a batch.

    Append times are those of event time: nothing that attribution writes depends on them.
    """
    folder.mkdir(parents=True)
    for partition in range(partitions):
        own = [(key, value) for place, key, value in made if place == partition]
        now = 1_765_000_000_000
        fetched = [Fetched(partition, offset, now, key, value, ()) for offset, (key, value) in enumerate(own)]
        steps = asyncio.run(steps_of(fetched, partition, partitions, prefix, at_once))
        with (folder / f"{partition}.steps").open("wb") as target:
            marshal.dump(steps, target)


def recorded(folder: Path, partition: int) -> list[Step]:
    """What `record` wrote for a partition."""
    with (folder / f"{partition}.steps").open("rb") as source:
        steps: list[Step] = marshal.load(source)
    return steps
