"""Which batches of each unit are run and compared, and where its state comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from endocrine.agents.contract import Agent
from endocrine.pipeline.replay.journals import ProcessorJournal
from endocrine.pipeline.replay.record_log import RecordLog, first_after, first_from
from endocrine.pipeline.replay.replayer import ReplayError, StartingPoint
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.state_files import Snapshots


@dataclass
class Plan:
    """What is done with one unit."""

    agent: Agent
    partition: int
    journal: ProcessorJournal
    start: StartingPoint
    first: int
    """The first batch compared; those between the start and it are run for their state."""
    last: int
    until: bool
    """Whether batches after `last` are left out on purpose."""
    broken: ReplayError | None = None
    """Why nothing can be run."""
    before: dict[str, int] = field(default_factory=dict)
    """Next offsets before `first`: what was set aside below it is not compared."""
    after: dict[str, int] | None = None
    """Next offsets after `last`, where later batches are left out."""

    @property
    def processor(self) -> str:
        """`agent/partition`."""
        return self.journal.processor

    def outside(self, batch: int, topic: str, offset: int) -> bool:
        """Return whether a record of this batch (or without one, of this trigger) is not compared."""
        if batch >= 0:
            return batch < self.first or (self.until and batch > self.last)
        if offset < self.before.get(topic, 0):
            return True
        return self.after is not None and offset >= self.after.get(topic, 0)

    def ahead(self, batch: int, topic: str, offset: int) -> bool:
        """Return whether it lies beyond what is journaled."""
        return batch > self.last if batch >= 0 else offset >= self.end.get(topic, 0)

    @cached_property
    def end(self) -> dict[str, int]:
        """Next offsets after `last`."""
        return self.journal.next_offsets(self.start.next_offsets, self.start.batch, self.last)


def plan_processor(
    agent: Agent,
    partition: int,
    journal: ProcessorJournal,
    logs: Mapping[tuple[str, int], RecordLog],
    scope: Scope,
    snapshots: Snapshots,
) -> Plan:
    """Return the plan for one unit."""
    first = journal.base + first_from(journal.times, scope.since_ms)
    last = journal.base + first_after(journal.times, scope.until_ms) - 1
    sources = {topic: logs[topic, partition] for topic in agent.sources}
    reachable = [
        start
        for start in snapshots.of(journal.processor)
        if start.batch >= journal.base - 1
        and all(start.next_offsets.get(topic, 0) >= log.start for topic, log in sources.items())
    ]
    restored = any(start.restored for start in reachable)
    whole = not restored and journal.base == 1 and _from_the_beginning(journal, sources)
    start, broken = StartingPoint(), None
    if scope.since_ms is not None and (near := [one for one in reachable if one.batch < first]):
        start = snapshots.load(max(near, key=lambda one: one.batch))
    elif not whole and reachable:
        start = snapshots.load(min(reachable, key=lambda one: one.batch))
        first = max(first, start.batch + 1)
    elif not whole and journal.last >= journal.base:
        broken = ReplayError("not verifiable", _why(journal, sources))
    known = journal.digest(start.batch) if start.batch else None
    if start.journal is not None and known is not None and start.journal != known:
        broken = ReplayError(
            "snapshot", f"{journal.processor}: {start.origin} is of another history than the journal's"
        )
    until = scope.until_ms is not None
    plan = Plan(agent, partition, journal, start, first, last, until, broken)
    if first > journal.base or start.batch:
        plan.before = journal.next_offsets(start.next_offsets, start.batch, first - 1)
    if until:
        plan.after = journal.next_offsets(start.next_offsets, start.batch, last)
    return plan


def _from_the_beginning(journal: ProcessorJournal, sources: Mapping[str, RecordLog]) -> bool:
    """Whether what the first batches read is still there, as far as topics' beginnings show."""
    late = {topic for topic, log in sources.items() if log.start > 0}
    batch = journal.base
    while late and batch <= journal.last:
        for topic, first, _ in journal.entry(batch)["runs"]:
            if topic in late:
                if first < sources[topic].start:
                    return False
                late.discard(topic)
        batch += 1
    return True


def _why(journal: ProcessorJournal, sources: Mapping[str, RecordLog]) -> str:
    if journal.base > 1:
        gone = f"its journal begins at batch {journal.base}"
    else:
        late = [f"{topic} begins at offset {log.start}" for topic, log in sources.items() if log.start > 0]
        gone = "what its first batches read is gone by retention: " + ", ".join(late)
    return f"{journal.processor}: {gone}, and no snapshot holds its state since then; see `endocrine snapshot`"


def units_of(agents: Sequence[Agent], partitions: int) -> list[tuple[Agent, int]]:
    """Return all units, in the order in which they are run."""
    return [(agent, partition) for agent in agents for partition in range(partitions)]
