"""Merges what was fetched of an agent's topics into the order in which it is read.

Two topics have no common order, so one is chosen and journaled: by the broker's append time, at equal times by the
agent's order of sources. A topic's records wait until the others were read up to what was there when they came, so
that a call never overtakes the turn that it belongs to.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from endocrine.pipeline.core.records import SourceRecord


class MergeBuffer:
    """Records fetched and not yet read, per source topic."""

    def __init__(self, sources: Sequence[str], unordered: Collection[str] = ()) -> None:
        """Begin with nothing. unordered: sources whose records may come anywhere among those of the others."""
        self._sources = tuple(sources)
        self._ordered = tuple(topic for topic in self._sources if topic not in unordered)
        self._waiting: dict[str, deque[SourceRecord]] = {topic: deque() for topic in sources}
        self.next_offsets: dict[str, int] = dict.fromkeys(sources, 0)
        """Per topic, the offset below which all has come in."""

    def clear(self, next_offsets: Mapping[str, int]) -> None:
        """Forget everything; what comes next begins at these offsets."""
        for topic in self._sources:
            self._waiting[topic].clear()
            self.next_offsets[topic] = next_offsets.get(topic, 0)

    def add(self, topic: str, records: Sequence[SourceRecord], next_offset: int | None = None) -> None:
        """Take in records of one topic, in offset order. Copies of what came before (a seek) are dropped.

        next_offset: no other record lies below it; without it, the one after the last record.
        """
        wanted = self.next_offsets[topic]
        if next_offset is None:
            next_offset = records[-1].offset + 1 if records else wanted
        if records and records[0].offset < wanted:
            records = [raw for raw in records if raw.offset >= wanted]
        self._waiting[topic].extend(records)
        self.next_offsets[topic] = max(wanted, next_offset)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def quiet(self) -> list[str]:
        """Return the source topics of which nothing waits, and for which the others must."""
        return [topic for topic in self._ordered if not self._waiting[topic]]

    def take(self, limit: int) -> list[tuple[str, SourceRecord]]:
        """Return the next records in reading order, at most `limit`.

        Call it when every quiet topic is known to hold nothing more. Stops where a topic runs out that was not quiet,
        for its next record may come before those of the others.
        """
        busy = [
            (place, topic, self._waiting[topic]) for place, topic in enumerate(self._sources) if self._waiting[topic]
        ]
        if len(busy) == 1:
            _, topic, waiting = busy[0]
            return [(topic, waiting.popleft()) for _ in range(min(limit, len(waiting)))]
        taken: list[tuple[str, SourceRecord]] = []
        while busy and len(taken) < limit:
            _, _, topic, waiting = min((waiting[0].timestamp, place, topic, waiting) for place, topic, waiting in busy)
            taken.append((topic, waiting.popleft()))
            if not waiting:
                break
        return taken
