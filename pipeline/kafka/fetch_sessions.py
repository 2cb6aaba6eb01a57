"""Fetch sessions (KIP-227) for aiokafka: a fetch names what changed, and its answer holds what has news.

Stock aiokafka names every partition in every fetch, and the broker answers about each: a millisecond of both sides for
every record that comes to a reader of thirty partitions. In a session the broker keeps the partitions, so a fetch
costs by what moves. One session per broker that is read from; a broker that has no room for one, or is older than
Kafka 1.1, is asked as before.

Every answer is one of: the session goes on at its next epoch; the broker gave none (`session_id` 0); or it is unknown
(the broker forgot it, an answer was lost), and the next fetch names everything again and begins a new one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aiokafka.structs import TopicPartition

NONE, INITIAL, NO_SESSION = 0, 0, -1
"""Session id of none; the epochs that begin a session, and that want none."""
_LAST_EPOCH = (1 << 31) - 1
FIRST_VERSION = 7
"""Of the Fetch request with sessions."""
PLAIN_FETCHES = 2
"""Fetches before a session is asked for: who reads a few records and goes leaves none behind (a broker keeps 1000)."""
Topics = list[tuple[str, list[tuple[int, int, int]]]]
Wanted = Mapping[TopicPartition, tuple[int, int]]


class Delta(NamedTuple):
    """The answer to a fetch."""

    session_id: int
    epoch: int
    topics: Topics
    """Partitions that are new to the broker, or moved: (number, offset, most bytes)."""
    forgotten: list[tuple[str, list[int]]]
    """Partitions that are not to be read any more."""


class Session:
    """What one broker knows of what we read from it."""

    def __init__(self, plain: int = PLAIN_FETCHES) -> None:
        self._plain = plain
        self._id = NONE
        self._epoch = INITIAL
        self._known: Wanted = {}

    def next(self, wanted: Wanted) -> Delta:
        """Return the fetch of these partitions. Its fate must be reported, by `answered` or `lost`, before the next
        one."""
        if self._plain > 0:
            return Delta(NONE, NO_SESSION, named_by_topic(wanted.items()), [])
        if self._epoch == INITIAL:
            return Delta(self._id, INITIAL, named_by_topic(wanted.items()), [])
        known = self._known
        moved = [(place, at) for place, at in wanted.items() if known.get(place) != at]
        gone: dict[str, list[int]] = defaultdict(list)
        if known.keys() != wanted.keys():
            for place in known:
                if place not in wanted:
                    gone[place.topic].append(place.partition)
        return Delta(self._id, self._epoch, named_by_topic(moved), list(gone.items()))

    def answered(self, wanted: Wanted, session_id: int, error_code: int) -> None:
        """Note that the broker answered the fetch of these partitions."""
        if self._plain > 0:
            self._plain -= 1
        elif error_code or session_id == NONE:
            self._id, self._epoch = NONE, INITIAL
        else:
            self._id, self._known = session_id, wanted
            self._epoch = 1 if self._epoch == _LAST_EPOCH else self._epoch + 1

    def lost(self) -> None:
        """Begin anew, as nobody knows whether the broker took the fetch, in place of the session that may be there."""
        self._epoch = INITIAL


def named_by_topic(partitions: Iterable[tuple[TopicPartition, tuple[int, int]]]) -> Topics:
    """Return partitions as a fetch names them."""
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for (topic, number), (offset, most) in partitions:
        found[topic].append((number, offset, most))
    return list(found.items())
