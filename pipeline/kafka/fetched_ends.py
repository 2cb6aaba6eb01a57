"""Ends of logs as the answers to fetches report them, so that a reader need not ask for them.

A fetch names its partitions, and its answer holds, for each that has news, how far it is written (the high watermark)
and how far it can be read (the last stable offset). In a session (KIP-227) the answer leaves out those that have none:
an answer that does not name a partition says that its high watermark has not moved. So an answer reports of all
partitions of its fetch where they end, as of a moment after the fetch was sent.

Fetches are numbered as they are sent. What came before fetch n was sent is older than what the answer to n reports; of
what came in that answer itself it proves nothing, for a broker reads one partition after the other.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from aiokafka.structs import TopicPartition


class FetchedEnds:
    """What one consumer's fetches have reported. Written by the thread that fetches, read by any."""

    def __init__(self) -> None:
        self.sent = 0
        """Number of the last fetch that was sent, to whichever broker."""
        self._ends: dict[TopicPartition, int] = {}
        """As last reported, where all that is written can be read. Where a transaction is open, an answer need not say
        when it has ended."""
        self._answers: dict[int, tuple[int, Collection[TopicPartition]]] = {}
        """Number and partitions of the last fetch that each broker has answered."""

    def next(self) -> int:
        """Return the number of a fetch that is about to be sent."""
        self.sent += 1
        return self.sent

    def answered(
        self,
        node: int,
        number: int,
        asked: Collection[TopicPartition],
        news: Iterable[tuple[TopicPartition, int, int]],
    ) -> None:
        """Note what the answer to a fetch reports: high watermark and last stable offset (-1: neither) by partition.

        Answers of one broker come in the order of its fetches.
        """
        for place, written, readable in news:
            if written >= 0 and written == readable:
                self._ends[place] = written
            else:
                self._ends.pop(place, None)
        # Last: whoever reads this number reads ends that are at least as new.
        self._answers[node] = number, asked

    def of(self, place: TopicPartition, after: int) -> int | None:
        """Return where a partition ended at a moment after fetch `after` was sent; None where no answer reports."""
        for number, asked in tuple(self._answers.values()):
            if number > after and place in asked:
                return self._ends.get(place)
        return None


class Since(NamedTuple):
    """The moment when something that was fetched came, and what has been reported since."""

    ends: FetchedEnds
    sent: int
    """Number of the last fetch that was sent before it."""

    def now(self) -> "Since":
        """Return this moment."""
        return Since(self.ends, self.ends.sent)

    def end_of(self, place: TopicPartition) -> int | None:
        """Return where a partition ended at a moment after that one; None where nothing reports."""
        return self.ends.of(place, self.sent)
