"""The broker as a processor uses it: implemented on Faust and aiokafka, and by the simulated broker of tests."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from endocrine.pipeline.core.changelog import Entry
from endocrine.pipeline.core.records import Headers, OutputRecord, SourceRecord

T = TypeVar("T")


class Run(NamedTuple):
    """Records of a topic in offset order, and how far they reach."""

    topic: str
    """Without prefix."""
    records: Sequence[SourceRecord]
    """May be empty: then there is nothing to read below `next_offset`."""
    next_offset: int
    """Every record below it is in this run or in one before. Offsets that hold none are passed: markers of
    transactions, aborted records and compaction take some."""


class Background(Protocol):
    """What a port runs beside the rest of a processor."""

    def done(self) -> bool:
        """Return whether it has ended, well or not."""
        ...


class BrokerPort(Protocol):
    """The broker as one (agent, partition) sees it. Calls raise Retry, Fatal or Fenced, nothing else."""

    async def epoch(self) -> int:
        """Append an epoch record to the changelog and return its offset: the owner's epoch."""
        ...

    def changelog(self, start: int, end: int) -> AsyncIterator[Sequence[Entry]]:
        """Return the changelog's records with start <= offset < end, in order, in lists of any size."""
        ...

    async def changelog_end(self) -> int:
        """Return the offset that the next record of the changelog will get."""
        ...

    async def write_checkpoint(self, items: Sequence[tuple[bytes, bytes | None]], epoch: int) -> int:
        """Append these records as ONE batch, all or nothing; return its base offset.

        Raises Fatal when the batch's fate is unknown.
        """
        ...

    async def produce(self, records: Sequence[OutputRecord], common: Headers) -> None:
        """Send in order per topic; returns when the broker has acknowledged all. The journal record goes last."""
        ...

    async def fetch(self, wait: bool) -> Sequence[Run]:
        """Return what was fetched since the last call; nothing when nothing came for a while. wait: it may take longer.

        Each topic begins at the offset that was sought or before it and skips no record: a processor that skipped an
        original would take its copy for new.
        """
        ...

    def waiting(self) -> int:
        """Return how many records `fetch` would give at once."""
        ...

    async def run_concurrently(self, writing: Coroutine[Any, Any, None], processing: Coroutine[Any, Any, T]) -> T:
        """Run both concurrently; return the result of processing.

        Writing first: processing is cancelled when writing fails, but writing goes on to its end when processing fails
        or the caller is cancelled.
        """
        ...

    def start(self, producing: Callable[[], Coroutine[Any, Any, None]]) -> Background:
        """Run it beside whatever else is awaited from now on, to its end. A failure of it ends a `fetch`."""
        ...

    async def finish(self, background: Background, enough: Callable[[], bool]) -> None:
        """Return when it has ended, or when, after one of its commits, it is enough. Raises what it raised.

        It goes on when the caller is cancelled.
        """
        ...

    async def give_way(self) -> None:
        """Let answers of the broker be handled, and what follows from them be sent, before going on to compute."""
        ...

    async def ends(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return, per source topic, the offset below which all records of this partition can be read.

        That is where the topic ends, or where its first open transaction begins, at a moment after the last `fetch`
        had what it returned.
        """
        ...

    async def seek(self, next_offsets: Mapping[str, int]) -> None:
        """Fetch from these offsets on, or from earlier (from the earliest where none is named)."""
        ...

    async def commit(self, next_offsets: Mapping[str, int]) -> None:
        """Report this processor's offsets to the group. For lag displays only; may be late."""
        ...
